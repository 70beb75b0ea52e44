//! What many open pages ask for at the same moment is drawn once: a new event wakes all of them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use actix_web::web::Bytes;
use tokio::sync::OnceCell;

use super::error::Problem;

/// So many different views are remembered; what is asked for besides is drawn for itself.
const VIEWS: usize = 16;

/// Regions that were drawn since the last commit, by the address of their view.
#[derive(Default)]
pub(super) struct Alike(Mutex<Drawn>);

#[derive(Default)]
struct Drawn {
    commits: u64,
    views: HashMap<String, Arc<OnceCell<Bytes>>>,
}

impl Alike {
    /// The region of a view as it is when so many groups are committed; drawn by the first that asks. Only for what is
    /// the same for everybody who may see it.
    pub(super) async fn get(
        &self,
        commits: u64,
        place: String,
        draw: impl Future<Output = Result<Bytes, Problem>>,
    ) -> Result<Bytes, Problem> {
        match self.cell(commits, place) {
            Some(cell) => cell.get_or_try_init(|| draw).await.cloned(),
            None => draw.await,
        }
    }

    fn cell(&self, commits: u64, place: String) -> Option<Arc<OnceCell<Bytes>>> {
        let mut drawn = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if drawn.commits < commits {
            *drawn = Drawn {
                commits,
                views: HashMap::new(),
            };
        }
        if drawn.views.len() >= VIEWS && !drawn.views.contains_key(&place) {
            return None;
        }
        Some(Arc::clone(drawn.views.entry(place).or_default()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn asked(alike: &Alike, commits: u64, place: &str, text: &'static str) -> Bytes {
        let draw = async { Ok(Bytes::from_static(text.as_bytes())) };
        alike.get(commits, place.to_owned(), draw).await.expect("drawn")
    }

    #[tokio::test]
    async fn a_view_is_drawn_once_for_each_commit() {
        let alike = Alike::default();
        assert_eq!(asked(&alike, 1, "/log", "first").await, "first");
        assert_eq!(asked(&alike, 1, "/log", "second").await, "first");
        assert_eq!(asked(&alike, 1, "/log?level=warn", "third").await, "third");
        assert_eq!(asked(&alike, 2, "/log", "fourth").await, "fourth");
    }

    #[tokio::test]
    async fn what_could_not_be_drawn_is_drawn_by_the_next() {
        let alike = Alike::default();
        let failed = alike
            .get(1, "/log".to_owned(), async { Err(Problem::internal("no")) })
            .await;
        assert!(failed.is_err());
        assert_eq!(asked(&alike, 1, "/log", "again").await, "again");
    }

    #[tokio::test]
    async fn views_are_bounded() {
        let alike = Alike::default();
        for n in 0..VIEWS {
            asked(&alike, 1, &n.to_string(), "one").await;
        }
        assert_eq!(asked(&alike, 1, "more", "one").await, "one");
        assert_eq!(asked(&alike, 1, "more", "two").await, "two");
        assert_eq!(asked(&alike, 1, "0", "two").await, "one");
    }
}
