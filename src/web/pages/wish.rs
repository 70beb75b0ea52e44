//! What can be done with a command: stop, extend, retry, find out, resolve. Each is one call of the
//! engine, which decides; the command's page then shows what came of it.

use actix_web::HttpResponse;
use actix_web::web::{Data, Path, ReqData};
use askama::Template;

use crate::domain::{Definition, Expect, Invalid, Span};
use crate::engine::EngineError;

use super::super::error::Problem;
use super::super::fields::Fields;
use super::super::frame::{Frame, html, see};
use super::super::{Visitor, Web};
use super::command::{Found, again, id_of};

type Answer = Result<HttpResponse, Problem>;

#[derive(Template)]
#[template(path = "command/retry.html")]
struct RetryPage {
    frame: Frame,
    id: String,
    op: String,
    host: String,
    dangerous: bool,
    reboots: bool,
    changes: Vec<Change>,
    reason: String,
}

/// A part of the definition that is another one today.
pub(super) struct Change {
    pub(super) what: &'static str,
    pub(super) then: String,
    pub(super) today: String,
}

pub(in crate::web) async fn stop(
    web: Data<Web>,
    visitor: ReqData<Visitor>,
    id: Path<String>,
    fields: Fields,
) -> Answer {
    let id = id_of(&id)?;
    web.engine.cancel(id, fields.owned("reason"), visitor.by()).await?;
    Ok(see(&format!("/commands/{id}")))
}

pub(in crate::web) async fn extend(
    web: Data<Web>,
    visitor: ReqData<Visitor>,
    id: Path<String>,
    fields: Fields,
) -> Answer {
    let id = id_of(&id)?;
    let span = match fields.parse::<Span>("span") {
        Ok(Some(span)) => Ok(span),
        Ok(None) => Err(Invalid::new("span", "is missing; write for example 30m")),
        Err(wrong) => Err(wrong),
    };
    let extended = match span {
        Ok(span) => web.engine.extend(id, span, visitor.by()).await.map(|_| ()),
        Err(wrong) => Err(wrong.into()),
    };
    match extended {
        Ok(()) => Ok(see(&format!("/commands/{id}"))),
        Err(EngineError::Invalid(wrong)) => {
            let wrong = Invalid::new("span", wrong.problem);
            again(&web, &visitor, id, wrong, fields.owned("span")).await
        }
        Err(why) => Err(why.into()),
    }
}

/// Runs it again: today's definition, shown first where it is another one, or can hurt.
pub(in crate::web) async fn retry(
    web: Data<Web>,
    visitor: ReqData<Visitor>,
    id: Path<String>,
    fields: Fields,
) -> Answer {
    let id = id_of(&id)?;
    let reason = fields.owned("reason");
    let found = Found::read(&web, id).await?;
    let catalog = web.engine.catalog();
    if let (Some(then), Some(op)) = (&found.definition, catalog.get(found.row.op.as_str())) {
        let changes = changes(then, &op.definition());
        if (op.dangerous || !changes.is_empty()) && fields.text("sure").is_none() {
            let (op_name, host) = (found.row.op.to_string(), found.row.host.to_string());
            let page = RetryPage {
                frame: Frame::new(&web, &visitor, "history", format!("Retry {op_name} on {host}?")),
                id: id.to_string(),
                dangerous: op.dangerous,
                reboots: op.expect == Expect::Reboot,
                op: op_name,
                host,
                changes,
                reason: reason.unwrap_or_default(),
            };
            return html(&page);
        }
    }
    let row = web.engine.retry(id, reason, visitor.by()).await?;
    Ok(see(&format!("/commands/{}", row.id)))
}

pub(in crate::web) async fn find_out(web: Data<Web>, visitor: ReqData<Visitor>, id: Path<String>) -> Answer {
    let id = id_of(&id)?;
    web.engine.find_out(id, visitor.by()).await?;
    Ok(see(&format!("/commands/{id}")))
}

pub(in crate::web) async fn resolve(
    web: Data<Web>,
    visitor: ReqData<Visitor>,
    id: Path<String>,
    fields: Fields,
) -> Answer {
    let id = id_of(&id)?;
    let Some(reason) = fields.owned("reason") else {
        let wrong = Invalid::new("reason", "is missing; say how you know that it has ended");
        return again(&web, &visitor, id, wrong, None).await;
    };
    web.engine.resolve(id, reason, visitor.by()).await?;
    Ok(see(&format!("/commands/{id}")))
}

/// Somebody has looked at how it ended, and says so.
pub(in crate::web) async fn acknowledge(
    web: Data<Web>,
    visitor: ReqData<Visitor>,
    id: Path<String>,
    fields: Fields,
) -> Answer {
    let id = id_of(&id)?;
    let note = fields.owned("note").unwrap_or_default();
    match web.engine.acknowledge(vec![id], note.clone(), visitor.by()).await {
        Ok(_) => Ok(see(&format!("/commands/{id}"))),
        Err(EngineError::Invalid(wrong)) => again(&web, &visitor, id, wrong, Some(note)).await,
        Err(why) => Err(why.into()),
    }
}

pub(in crate::web) async fn keep(
    web: Data<Web>,
    visitor: ReqData<Visitor>,
    id: Path<String>,
    fields: Fields,
) -> Answer {
    let id = id_of(&id)?;
    let reason = fields.owned("reason").unwrap_or_default();
    web.engine.keep(id, reason, visitor.by()).await?;
    Ok(see(&format!("/commands/{id}")))
}

pub(in crate::web) async fn unkeep(web: Data<Web>, visitor: ReqData<Visitor>, id: Path<String>) -> Answer {
    let id = id_of(&id)?;
    web.engine.unkeep(id, visitor.by()).await?;
    Ok(see(&format!("/commands/{id}")))
}

pub(super) fn changes(then: &Definition, today: &Definition) -> Vec<Change> {
    let text = |text: &Option<String>| text.clone().unwrap_or_else(|| "(none)".to_owned());
    let span = |span: Option<Span>| span.map_or_else(|| "(none)".to_owned(), |span| span.to_string());
    let user = |d: &Definition| {
        d.run_as
            .as_ref()
            .map_or_else(|| "(the login user)".to_owned(), ToString::to_string)
    };
    let parts = [
        ("Script", then.script.clone(), today.script.clone()),
        ("Pre-check", text(&then.pre_check), text(&today.pre_check)),
        ("Post-check", text(&then.post_check), text(&today.post_check)),
        ("Time", then.timeout.to_string(), today.timeout.to_string()),
        ("Warned after", span(then.warn_after), span(today.warn_after)),
        (
            "When its time is up",
            format!("{:?}", then.on_timeout),
            format!("{:?}", today.on_timeout),
        ),
        ("Between TERM and KILL", span(then.kill_grace), span(today.kill_grace)),
        ("Runs as", user(then), user(today)),
        ("Ends with", format!("{:?}", then.expect), format!("{:?}", today.expect)),
        ("Variables", then.environment.join(", "), today.environment.join(", ")),
    ];
    parts
        .into_iter()
        .filter(|(_, then, today)| then != today)
        .map(|(what, then, today)| Change { what, then, today })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_of_the_definition_is_named() {
        let then = crate::domain::built_in().remove(0).definition();
        assert!(changes(&then, &then).is_empty());
        let mut today = then.clone();
        today.script.push_str("\ntrue");
        today.timeout = Span::from_secs(31);
        let found: Vec<_> = changes(&then, &today).iter().map(|change| change.what).collect();
        assert_eq!(found, ["Script", "Time"]);
    }
}
