//! The access list, for paper: who may what, with what they prove it, and when they last did.

use std::collections::HashMap;

use actix_web::HttpResponse;
use actix_web::web::{Data, ReqData};
use askama::Template;

use crate::domain::{Role, Timestamp};
use crate::web::clock::{Clock, When};
use crate::web::error::Problem;
use crate::web::frame::{Frame, html};
use crate::web::{Visitor, Web};

#[derive(Template)]
#[template(path = "report/access.html")]
struct AccessPage {
    frame: Frame,
    organisation: String,
    now: When,
    version: &'static str,
    dashboard: String,
    users: Vec<UserLine>,
    tokens: Vec<TokenLine>,
}

struct UserLine {
    name: String,
    grants: String,
    admin: bool,
    /// Where; none where nowhere.
    dangerous: Option<String>,
    totp: bool,
    made: When,
    last: String,
    disabled: Option<When>,
}

struct TokenLine {
    name: String,
    grants: String,
    /// Where; none where nowhere.
    dangerous: Option<String>,
    by: String,
    made: When,
    expires: String,
    used: String,
    state: String,
}

pub(in crate::web) async fn show(web: Data<Web>, visitor: ReqData<Visitor>) -> Result<HttpResponse, Problem> {
    let (users, tokens, last) = web
        .engine
        .reader()
        .read(|journal| {
            let users = journal.users()?;
            let mut last = HashMap::new();
            for user in &users {
                last.insert(user.name.clone(), journal.last_log_in(&user.name)?);
            }
            Ok((users, journal.tokens()?, last))
        })
        .await?;
    let clock = web.clock();
    let or = |at: Option<Timestamp>, none: &str| at.map_or_else(|| none.to_owned(), |at| clock.when(at).full);
    html(&AccessPage {
        frame: Frame::new(&web, &visitor, "audit", "Access list"),
        organisation: web.settings.organisation.clone(),
        now: clock.when(clock.now),
        version: env!("CARGO_PKG_VERSION"),
        dashboard: web.engine.dashboard_id().to_owned(),
        users: users
            .into_iter()
            .map(|user| UserLine {
                last: or(last.get(&user.name).copied().flatten(), "none in the journal"),
                admin: user.grants.has_somewhere(Role::Admin),
                dangerous: dangerous(&user.grants.to_string()),
                grants: user.grants.to_string(),
                totp: user.totp_secret.is_some(),
                made: clock.when(user.created_at),
                disabled: clock.maybe(user.disabled_at),
                name: user.name,
            })
            .collect(),
        tokens: tokens
            .into_iter()
            .map(|token| TokenLine {
                state: state(token.revoked_at, token.expires_at, &clock),
                dangerous: dangerous(&token.grants.to_string()),
                grants: token.grants.to_string(),
                by: token.created_by.to_string(),
                made: clock.when(token.created_at),
                expires: or(token.expires_at, "never"),
                used: or(token.last_used_at, "never"),
                name: token.name,
            })
            .collect(),
    })
}

/// Where dangerous ops may be run: `on all hosts`, `on hosts tagged lab`; none where nowhere.
fn dangerous(grants: &str) -> Option<String> {
    let rights = grants.split(' ').filter_map(|right| match right.split_once('@') {
        Some(("dangerous", tag)) => Some(Some(tag)),
        None if right == "dangerous" => Some(None),
        Some(_) | None => None,
    });
    let rights: Vec<Option<&str>> = rights.collect();
    match rights.iter().copied().collect::<Option<Vec<&str>>>() {
        None => Some("on all hosts".to_owned()),
        Some(tags) if tags.is_empty() => None,
        Some(tags) => Some(format!("on hosts tagged {}", tags.join(", "))),
    }
}

fn state(revoked: Option<Timestamp>, expires: Option<Timestamp>, clock: &Clock) -> String {
    match (revoked, expires) {
        (Some(at), _) => format!("revoked {}", clock.when(at).full),
        (None, Some(end)) if end <= clock.now => "over".to_owned(),
        _ => "valid".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::dangerous;

    #[test]
    fn a_right_for_a_tag_is_said_with_the_tag() {
        assert_eq!(dangerous("operator@lab viewer"), None);
        assert_eq!(dangerous("admin dangerous").as_deref(), Some("on all hosts"));
        assert_eq!(
            dangerous("dangerous@lab dangerous@web operator").as_deref(),
            Some("on hosts tagged lab, web")
        );
        assert_eq!(dangerous("dangerous dangerous@lab").as_deref(), Some("on all hosts"));
    }
}
