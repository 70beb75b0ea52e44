//! Whether a token may still do anything: never more than who made it may now.

use crate::domain::{Access, Actor, Grants, Timestamp};
use crate::store::{By, Journal, ReadError, TokenRow};

/// Who shows a token.
#[derive(Clone, Debug)]
pub enum Shown {
    /// A program that is known. Its address is to be filled in by the door.
    Known(Box<By>),
    /// The token is good, but who made it could not make it today: why, in a sentence.
    Refused(&'static str),
    /// Nobody: it is revoked, over, or never was.
    Unknown,
}

const SHUT_OUT: &str = "who made it is disabled";
const ENDED: &str = "the token that it was made with has ended";
const LESS: &str = "who made it may not give that away any more";

/// Why a token that has not ended is refused all the same; none where it is not. It works again once who made it may
/// all that once more. What an account of this machine made is bound to nobody.
///
/// # Errors
/// When the journal cannot be read.
pub(super) fn why_refused(journal: &mut Journal, token: &TokenRow) -> Result<Option<&'static str>, ReadError> {
    let mut token = token.clone();
    loop {
        let made = match &token.created_by {
            Actor::Local(_) | Actor::System => return Ok(None),
            Actor::User(name) => match journal.user(name)?.filter(|user| user.disabled_at.is_none()) {
                None => return Ok(Some(SHUT_OUT)),
                Some(user) if may_have_made(&user.grants, &token) => return Ok(None),
                Some(_) => return Ok(Some(LESS)),
            },
            // Names are never used again, so who made it is older: this ends.
            Actor::Token(name) => journal.token_named(name)?.filter(|maker| maker.id < token.id),
        };
        match made.filter(|maker| !maker.has_ended(Timestamp::now())) {
            None => return Ok(Some(ENDED)),
            Some(maker) if may_have_made(&maker.grants, &token) => token = maker,
            Some(_) => return Ok(Some(LESS)),
        }
    }
}

/// Every token by name, each with why it is refused though it has not ended.
///
/// # Errors
/// When the journal cannot be read.
pub fn tokens(journal: &mut Journal) -> Result<Vec<(TokenRow, Option<&'static str>)>, ReadError> {
    let now = Timestamp::now();
    let mut shown = Vec::new();
    for token in journal.tokens()? {
        let refused = if token.has_ended(now) {
            None
        } else {
            why_refused(journal, &token)?
        };
        shown.push((token, refused));
    }
    Ok(shown)
}

fn may_have_made(grants: &Grants, token: &TokenRow) -> bool {
    Access::Granted(grants.clone())
        .may_make_token(&token.grants)
        .is_allowed()
}
