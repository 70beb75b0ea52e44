//! One's own account: password, second factor, sessions.

use actix_web::web::{Data, Path, ReqData};
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;
use qrcode::QrCode;
use qrcode::render::svg;

use crate::domain::{Ask, Invalid};
use crate::store::{SessionRow, UserRow};

use super::super::clock::{Clock, When};
use super::super::error::Problem;
use super::super::fields::Fields;
use super::super::frame::{Frame, html, see};
use super::super::{Visitor, Web};

#[derive(Template)]
#[template(path = "access/account.html")]
struct AccountPage {
    frame: Frame,
    actor: String,
    is_user: bool,
    grants: String,
    totp: bool,
    must_enrol: bool,
    codes_left: usize,
    password_at: Option<When>,
    sessions: Vec<SessionView>,
}

/// A session, as its owner and admins see it.
pub(super) struct SessionView {
    pub(super) id: i64,
    pub(super) whose: String,
    pub(super) here: bool,
    /// Whether it is theirs to end.
    pub(super) mine: bool,
    pub(super) address: String,
    pub(super) agent: String,
    pub(super) opened: When,
    pub(super) seen: When,
}

impl SessionView {
    pub(super) fn new(row: SessionRow, mine: i64, clock: &Clock) -> Self {
        Self {
            id: row.id,
            whose: row.actor.to_string(),
            here: row.id == mine,
            mine: true,
            address: row.address.unwrap_or_else(|| "this machine".to_owned()),
            agent: row.agent.unwrap_or_else(|| "did not say".to_owned()),
            opened: clock.when(row.created_at),
            seen: clock.when(row.last_seen_at),
        }
    }
}

#[derive(Template)]
#[template(path = "access/totp.html")]
struct TotpPage {
    frame: Frame,
    secret: String,
    url: String,
    picture: String,
    wrong: Option<String>,
}

#[derive(Template)]
#[template(path = "access/codes.html")]
struct CodesPage {
    frame: Frame,
    codes: Vec<String>,
}

pub(in crate::web) async fn show(web: Data<Web>, visitor: ReqData<Visitor>) -> Result<HttpResponse, Problem> {
    let known = visitor.known();
    let clock = web.clock();
    let mut page = AccountPage {
        frame: Frame::new(&web, &visitor, "account", "Your account"),
        actor: visitor.actor.to_string(),
        is_user: known.user.is_some(),
        grants: "everything".to_owned(),
        totp: false,
        must_enrol: known.must_enrol,
        codes_left: 0,
        password_at: None,
        sessions: vec![SessionView::new(known.session.clone(), known.session.id, &clock)],
    };
    if let Some(user) = known.user.clone() {
        let (id, unused) = (user.id, web.engine.sessions_unused_since());
        let (sessions, codes_left) = web
            .engine
            .reader()
            .read(move |journal| Ok((journal.sessions(Some(id), unused)?, journal.recovery_codes_left(id)?)))
            .await?;
        page.grants = user.grants.to_string();
        page.totp = user.totp_secret.is_some();
        page.password_at = Some(clock.when(user.password_at));
        page.codes_left = codes_left;
        page.sessions = sessions
            .into_iter()
            .map(|row| SessionView::new(row, known.session.id, &clock))
            .collect();
    }
    html(&page)
}

pub(in crate::web) async fn password(
    web: Data<Web>,
    visitor: ReqData<Visitor>,
    fields: Fields,
) -> Result<HttpResponse, Problem> {
    let user = own(&visitor)?;
    let new = fields.raw("new_password").unwrap_or_default();
    if fields.raw("again").as_deref() != Some(new.as_str()) {
        return Err(Invalid::new("again", "is not the same as the new password").into());
    }
    let keep = Some(visitor.known().session.id);
    web.engine
        .set_password(user.name.clone(), new, keep, visitor.by())
        .await?;
    Ok(see("/account"))
}

/// A new secret, as a picture and as text; it is nobody's until a code of it was shown.
pub(in crate::web) async fn totp(web: Data<Web>, visitor: ReqData<Visitor>) -> Result<HttpResponse, Problem> {
    totp_page(&web, &visitor, None, None)
}

fn totp_page(
    web: &Web,
    visitor: &Visitor,
    secret: Option<String>,
    wrong: Option<String>,
) -> Result<HttpResponse, Problem> {
    let new = web.engine.new_totp(&own(visitor)?.name, secret)?;
    let code = QrCode::new(new.url.as_bytes()).map_err(|why| Problem::internal(format!("the picture: {why}")))?;
    let picture = code.render::<svg::Color<'_>>().min_dimensions(220, 220).build();
    html(&TotpPage {
        frame: Frame::new(web, visitor, "account", "Second factor"),
        secret: new.secret,
        url: new.url,
        // Inside a page it is an element, not a document.
        picture: picture
            .split_once("?>")
            .map_or(picture.clone(), |(_, svg)| svg.to_owned()),
        wrong,
    })
}

/// Sets it up, and shows the recovery codes, this once.
pub(in crate::web) async fn set_totp(
    web: Data<Web>,
    visitor: ReqData<Visitor>,
    fields: Fields,
) -> Result<HttpResponse, Problem> {
    let user = own(&visitor)?;
    let secret = fields
        .owned("secret")
        .ok_or_else(|| Invalid::new("secret", "is missing; open the page again"))?;
    let code = fields.owned("code").unwrap_or_default();
    let keep = Some(visitor.known().session.id);
    let set = web.engine.set_totp(user, secret.clone(), &code, keep, visitor.by());
    match set.await {
        Ok(codes) => html(&CodesPage {
            frame: Frame::new(&web, &visitor, "account", "Recovery codes"),
            codes,
        }),
        Err(crate::engine::EngineError::Invalid(wrong)) if wrong.field == "code" => {
            let wrong = format!("The code {}.", wrong.problem);
            totp_page(&web, &visitor, Some(secret), Some(wrong))
        }
        Err(why) => Err(why.into()),
    }
}

pub(in crate::web) async fn remove_totp(web: Data<Web>, visitor: ReqData<Visitor>) -> Result<HttpResponse, Problem> {
    let (name, keep) = (&own(&visitor)?.name, Some(visitor.known().session.id));
    web.engine.remove_totp(name, keep, visitor.by()).await?;
    Ok(see("/account"))
}

/// Ends a session: one's own, or as an admin anybody's.
pub(in crate::web) async fn end_session(
    web: Data<Web>,
    visitor: ReqData<Visitor>,
    id: Path<String>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let id = id.parse::<i64>().map_err(|_| Problem::missing("That session"))?;
    web.engine.revoke_session(id, visitor.by()).await?;
    let from_users = visitor.may(Ask::Users) && request.query_string() == "users";
    Ok(see(if from_users { "/users" } else { "/account" }))
}

fn own(visitor: &Visitor) -> Result<&UserRow, Problem> {
    let user = visitor.known().user.as_ref();
    user.ok_or_else(|| Problem::conflict("You are here as an account of the machine; that has no password here."))
}
