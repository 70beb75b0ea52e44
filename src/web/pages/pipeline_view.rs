//! Which part of a pipeline's matrix is shown, and its URL.

use crate::domain::{Invalid, PipelineId};
use crate::store::{MatrixPart, MatrixWindow};

use super::super::fields::{Fields, to_query};

/// Hosts on one page of the matrix.
pub(super) const HOSTS: usize = 100;

/// Which part of the matrix a URL asks for.
pub(super) struct View {
    pub(super) part: MatrixPart,
    pub(super) page: usize,
}

impl View {
    pub(super) fn read(fields: &Fields) -> Result<Self, Invalid> {
        let part = match fields.text("show") {
            None => MatrixPart::All,
            Some("failed") => MatrixPart::Failed,
            Some("running") => MatrixPart::Running,
            Some(_) => return Err(Invalid::new("show", "must be failed or running, or not there at all")),
        };
        let page = match fields.number("page")? {
            None => 1,
            Some(0) => return Err(Invalid::new("page", "must be 1 or more")),
            Some(page) => usize::try_from(page.min(1_000)).unwrap_or(1),
        };
        Ok(Self { part, page })
    }

    pub(super) fn place(id: PipelineId, part: MatrixPart, page: usize) -> String {
        let page = if page > 1 { page.to_string() } else { String::new() };
        let show = match part {
            MatrixPart::All => "",
            MatrixPart::Failed => "failed",
            MatrixPart::Running => "running",
        };
        format!("/pipelines/{id}{}", to_query([("show", show), ("page", &page)]))
    }

    pub(super) const fn window(&self) -> MatrixWindow {
        MatrixWindow {
            part: self.part,
            offset: (self.page - 1) * HOSTS,
            limit: HOSTS,
            failures_first: true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_url_says_which_hosts() {
        let read = |query: &str| View::read(&Fields::query(query).expect("query"));
        let id: PipelineId = "0192b0a0-0000-7000-8000-000000000000".parse().expect("id");
        let view = read("show=failed&page=3").expect("view");
        assert_eq!(view.window().offset, 200);
        assert_eq!(
            View::place(id, view.part, view.page),
            format!("/pipelines/{id}?show=failed&page=3")
        );
        assert_eq!(View::place(id, MatrixPart::All, 1), format!("/pipelines/{id}"));
        for (query, field) in [("show=odd", "show"), ("page=0", "page"), ("page=x", "page")] {
            assert_eq!(read(query).err().expect(query).field, field);
        }
    }
}
