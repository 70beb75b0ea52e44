//! Tokens, for admins: programs that may ask over the network. A secret is shown once.

use actix_web::HttpResponse;
use actix_web::web::{Data, Path, ReqData};
use askama::Template;

use crate::domain::{Grants, Invalid, Span, Timestamp};

use super::super::clock::When;
use super::super::error::Problem;
use super::super::fields::Fields;
use super::super::frame::{Frame, html, see};
use super::super::{Visitor, Web};

#[derive(Template)]
#[template(path = "access/tokens.html")]
struct TokensPage {
    frame: Frame,
    tokens: Vec<TokenView>,
    /// The name and secret of one that was made just now.
    made: Option<(String, String)>,
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
    page(&web, &visitor, None).await
}

async fn page(web: &Web, visitor: &Visitor, made: Option<(String, String)>) -> Result<HttpResponse, Problem> {
    let tokens = web.engine.reader().read(crate::engine::tokens).await?;
    let clock = web.clock();
    html(&TokensPage {
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
        made,
    })
}

pub(in crate::web) async fn add(
    web: Data<Web>,
    visitor: ReqData<Visitor>,
    fields: Fields,
) -> Result<HttpResponse, Problem> {
    let name = fields.owned("name").ok_or_else(|| Invalid::new("name", "is missing"))?;
    let grants = fields.parse::<Grants>("role")?.unwrap_or_default();
    let expires = fields.parse::<Span>("lasts")?.map(|span| Timestamp::now().plus(span));
    let (row, secret) = web.engine.add_token(name, grants, expires, visitor.by()).await?;
    page(&web, &visitor, Some((row.name, secret))).await
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
