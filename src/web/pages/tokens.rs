//! Tokens, for admins: programs that may ask over the network. A secret is shown once.

use actix_web::HttpResponse;
use actix_web::web::{Data, Path, ReqData};
use askama::Template;

use crate::domain::{Grants, Invalid, Span, Timestamp};

use super::super::clock::When;
use super::super::error::Problem;
use super::super::fields::{Fields, Wrong};
use super::super::frame::{Frame, html, html_with, see};
use super::super::{Visitor, Web};

#[derive(Template)]
#[template(path = "access/tokens.html")]
struct TokensPage {
    frame: Frame,
    tokens: Vec<TokenView>,
    /// The name and secret of one that was made just now.
    made: Option<(String, String)>,
    /// What is wrong with the form for a new one, and what was typed there.
    wrong: Option<Wrong>,
    name: String,
    role: String,
    lasts: String,
}

/// Asks before a token is revoked: that is for ever.
#[derive(Template)]
#[template(path = "access/revoke.html")]
struct RevokePage {
    frame: Frame,
    name: String,
}

struct TokenView {
    name: String,
    grants: String,
    by: String,
    made: When,
    used: Option<When>,
    expires: Option<When>,
    ended: bool,
    /// Whether it is theirs to revoke.
    mine: bool,
    /// Why it is refused though it has not ended.
    refused: Option<&'static str>,
}

pub(in crate::web) async fn show(web: Data<Web>, visitor: ReqData<Visitor>) -> Result<HttpResponse, Problem> {
    html(&TokensPage::read(&web, &visitor).await?)
}

impl TokensPage {
    async fn read(web: &Web, visitor: &Visitor) -> Result<Self, Problem> {
        let tokens = web.engine.reader().read(crate::engine::tokens).await?;
        let clock = web.clock();
        Ok(Self {
            frame: Frame::new(web, visitor, "tokens", "Tokens"),
            tokens: tokens
                .into_iter()
                .map(|(token, refused)| TokenView {
                    ended: token.has_ended(clock.now),
                    mine: token.created_by == visitor.actor || visitor.may_give(&token.grants),
                    refused,
                    name: token.name,
                    grants: token.grants.to_string(),
                    by: token.created_by.name().to_owned(),
                    made: clock.when(token.created_at),
                    used: clock.maybe(token.last_used_at),
                    expires: clock.maybe(token.expires_at),
                })
                .collect(),
            made: None,
            wrong: None,
            name: String::new(),
            role: "viewer".to_owned(),
            lasts: String::new(),
        })
    }
}

/// Makes a token; where that cannot be, the page with what was typed and what is wrong with it.
pub(in crate::web) async fn add(
    web: Data<Web>,
    visitor: ReqData<Visitor>,
    fields: Fields,
) -> Result<HttpResponse, Problem> {
    let why = match wanted(&fields) {
        Ok((name, grants, expires)) => match web.engine.add_token(name, grants, expires, visitor.by()).await {
            Ok((row, secret)) => {
                return html(&TokensPage {
                    made: Some((row.name, secret)),
                    ..TokensPage::read(&web, &visitor).await?
                });
            }
            Err(why) => why,
        },
        Err(wrong) => wrong.into(),
    };
    let Some(wrong) = Wrong::of(&why, "name") else {
        return Err(why.into());
    };
    let typed = |field: &str| fields.owned(field).unwrap_or_default();
    let page = TokensPage {
        wrong: Some(wrong),
        name: typed("name"),
        role: typed("role"),
        lasts: typed("lasts"),
        ..TokensPage::read(&web, &visitor).await?
    };
    html_with(Problem::from(why).status(), &page)
}

fn wanted(fields: &Fields) -> Result<(String, Grants, Option<Timestamp>), Invalid> {
    let name = fields.owned("name").ok_or_else(|| Invalid::new("name", "is missing"))?;
    let grants = fields.parse::<Grants>("role")?.unwrap_or_default();
    let lasts = fields.parse::<Span>("lasts")?;
    Ok((name, grants, lasts.map(|span| Timestamp::now().plus(span))))
}

pub(in crate::web) async fn revoke(
    web: Data<Web>,
    visitor: ReqData<Visitor>,
    name: Path<String>,
    fields: Fields,
) -> Result<HttpResponse, Problem> {
    let name = name.into_inner();
    if fields.text("sure").is_none() {
        let name = crate::domain::bounded(&name, 64);
        return html(&RevokePage {
            frame: Frame::new(&web, &visitor, "tokens", format!("Revoke {name}?")),
            name,
        });
    }
    web.engine.revoke_token(name, visitor.by()).await?;
    Ok(see("/tokens"))
}
