//! The text that a command ran, by its digest.

use actix_web::HttpResponse;
use actix_web::web::{Data, Path, ReqData};
use askama::Template;

use crate::domain::{Definition, Digest, OnTimeout};

use super::super::error::Problem;
use super::super::frame::{Frame, html};
use super::super::{Visitor, Web};

#[derive(Template)]
#[template(path = "command/definition.html")]
struct DefinitionPage {
    frame: Frame,
    digest: String,
    definition: Definition,
    on_timeout: &'static str,
    today: Today,
}

/// How a stored definition stands to today's catalog.
#[derive(PartialEq, Eq)]
enum Today {
    Same,
    Changed,
    Gone,
}

pub(in crate::web) async fn show(
    web: Data<Web>,
    visitor: ReqData<Visitor>,
    digest: Path<String>,
) -> Result<HttpResponse, Problem> {
    let digest = Digest::from_stored(digest.into_inner());
    let wanted = digest.clone();
    let text = web
        .engine
        .reader()
        .read(move |journal| journal.definition(&wanted))
        .await?
        .ok_or_else(|| Problem::swept("That definition"))?;
    let definition = Definition::read(&text)?;
    let today = match web.engine.catalog().get(definition.op.as_str()) {
        None => Today::Gone,
        Some(op) if op.definition() == definition => Today::Same,
        Some(_) => Today::Changed,
    };
    html(&DefinitionPage {
        frame: Frame::new(&web, &visitor, "history", format!("Definition of {}", definition.op)),
        digest: digest.to_string(),
        on_timeout: match definition.on_timeout {
            OnTimeout::Kill => "It is stopped",
            OnTimeout::Attend => "It goes on and is marked as overdue",
        },
        definition,
        today,
    })
}
