//! Users, for admins: who there is, what they may, and their sessions.

use std::collections::HashMap;

use actix_web::HttpResponse;
use actix_web::web::{Data, Path, ReqData};
use askama::Template;

use crate::domain::{Grants, Invalid};
use crate::store::SessionRow;

use super::super::clock::When;
use super::super::error::Problem;
use super::super::fields::{Fields, Wrong};
use super::super::frame::{Frame, html, html_with, see};
use super::super::{Visitor, Web};
use super::account::SessionView;

#[derive(Template)]
#[template(path = "access/users.html")]
struct UsersPage {
    frame: Frame,
    users: Vec<UserView>,
    sessions: Vec<SessionView>,
    /// What is wrong with the form for a new one, and what was typed there.
    wrong: Option<Wrong>,
    name: String,
    role: String,
}

struct UserView {
    name: String,
    grants: String,
    totp: bool,
    since: When,
    disabled: Option<When>,
    /// Whether it is theirs to change.
    mine: bool,
}

pub(in crate::web) async fn show(web: Data<Web>, visitor: ReqData<Visitor>) -> Result<HttpResponse, Problem> {
    html(&UsersPage::read(&web, &visitor).await?)
}

impl UsersPage {
    async fn read(web: &Web, visitor: &Visitor) -> Result<Self, Problem> {
        let unused = web.engine.sessions_unused_since();
        let (users, sessions) = web
            .engine
            .reader()
            .read(move |journal| Ok((journal.users()?, journal.sessions(None, unused)?)))
            .await?;
        let clock = web.clock();
        let here = visitor.known().session.id;
        let grants: HashMap<i64, Grants> = users.iter().map(|user| (user.id, user.grants.clone())).collect();
        // What an account of this machine opened may everything.
        let may_end = |row: &SessionRow| {
            let theirs = row
                .user_id
                .and_then(|id| grants.get(&id).cloned())
                .unwrap_or_else(Grants::all);
            row.actor == visitor.actor || visitor.may_give(&theirs)
        };
        Ok(Self {
            frame: Frame::new(web, visitor, "users", "Users"),
            wrong: None,
            name: String::new(),
            role: "viewer".to_owned(),
            users: users
                .into_iter()
                .map(|user| UserView {
                    mine: visitor.may_give(&user.grants),
                    name: user.name,
                    grants: user.grants.to_string(),
                    totp: user.totp_secret.is_some(),
                    since: clock.when(user.created_at),
                    disabled: clock.maybe(user.disabled_at),
                })
                .collect(),
            sessions: sessions
                .into_iter()
                .map(|row| SessionView {
                    mine: may_end(&row),
                    ..SessionView::new(row, here, &clock)
                })
                .collect(),
        })
    }
}

/// Makes a user; where that cannot be, the page with what was typed, but for the password, and what is wrong with it.
pub(in crate::web) async fn add(
    web: Data<Web>,
    visitor: ReqData<Visitor>,
    fields: Fields,
) -> Result<HttpResponse, Problem> {
    let password = fields.raw("new_password").unwrap_or_default();
    let name = fields.owned("name").ok_or_else(|| Invalid::new("name", "is missing"));
    let read = name.and_then(|name| Ok((name, grants(&fields)?)));
    let why = match read {
        Ok((name, grants)) => match web.engine.add_user(name, password, grants, visitor.by()).await {
            Ok(_) => return Ok(see("/users")),
            Err(why) => why,
        },
        Err(wrong) => wrong.into(),
    };
    let Some(wrong) = Wrong::of(&why, "name") else {
        return Err(why.into());
    };
    let page = UsersPage {
        wrong: Some(wrong),
        name: fields.owned("name").unwrap_or_default(),
        role: fields.owned("role").unwrap_or_default(),
        ..UsersPage::read(&web, &visitor).await?
    };
    html_with(Problem::from(why).status(), &page)
}

pub(in crate::web) async fn role(
    web: Data<Web>,
    visitor: ReqData<Visitor>,
    name: Path<String>,
    fields: Fields,
) -> Result<HttpResponse, Problem> {
    web.engine
        .set_grants(name.into_inner(), grants(&fields)?, visitor.by())
        .await?;
    Ok(see("/users"))
}

pub(in crate::web) async fn password(
    web: Data<Web>,
    visitor: ReqData<Visitor>,
    name: Path<String>,
    fields: Fields,
) -> Result<HttpResponse, Problem> {
    let password = fields.raw("new_password").unwrap_or_default();
    web.engine
        .set_password(name.into_inner(), password, None, visitor.by())
        .await?;
    Ok(see("/users"))
}

pub(in crate::web) async fn disable(
    web: Data<Web>,
    visitor: ReqData<Visitor>,
    name: Path<String>,
) -> Result<HttpResponse, Problem> {
    web.engine.set_disabled(name.into_inner(), true, visitor.by()).await?;
    Ok(see("/users"))
}

pub(in crate::web) async fn enable(
    web: Data<Web>,
    visitor: ReqData<Visitor>,
    name: Path<String>,
) -> Result<HttpResponse, Problem> {
    web.engine.set_disabled(name.into_inner(), false, visitor.by()).await?;
    Ok(see("/users"))
}

pub(in crate::web) async fn remove_totp(
    web: Data<Web>,
    visitor: ReqData<Visitor>,
    name: Path<String>,
) -> Result<HttpResponse, Problem> {
    web.engine.remove_totp(&name, None, visitor.by()).await?;
    Ok(see("/users"))
}

fn grants(fields: &Fields) -> Result<Grants, Invalid> {
    Ok(fields.parse::<Grants>("role")?.unwrap_or_default())
}
