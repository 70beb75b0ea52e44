//! One-time links: how a session begins without a password. Whoever can ask for one on the dashboard's
//! own machine has proved who they are there.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use crate::domain::Actor;

/// How long a link can be used.
const VALID: Duration = Duration::from_secs(15 * 60);
/// The most links that wait to be used; the oldest gives way.
const MOST: usize = 64;

/// The links that were issued and not used yet. In memory only: a restart forgets them.
#[derive(Default)]
pub struct Links {
    waiting: Mutex<Vec<Link>>,
}

struct Link {
    hash: [u8; 32],
    actor: Actor,
    until: Instant,
}

impl Links {
    /// A new link's token for this actor: 256 random bits in hex, to be put behind `/enter?key=`.
    ///
    /// # Errors
    /// When the system has no randomness to give.
    pub fn issue(&self, actor: Actor) -> Result<String, getrandom::Error> {
        let token = random_token()?;
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        waiting.retain(|link| link.until > now);
        if waiting.len() >= MOST {
            waiting.remove(0);
        }
        waiting.push(Link {
            hash: hash(&token),
            actor,
            until: now + VALID,
        });
        Ok(token)
    }

    /// Uses a token up: the actor it was issued for, once, while it is valid.
    #[must_use]
    pub fn redeem(&self, token: &str) -> Option<Actor> {
        self.redeem_at(token, Instant::now())
    }

    fn redeem_at(&self, token: &str, now: Instant) -> Option<Actor> {
        let wanted = hash(token);
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.retain(|link| link.until > now);
        let at = waiting.iter().position(|link| bool::from(link.hash.ct_eq(&wanted)))?;
        Some(waiting.remove(at).actor)
    }
}

/// 256 random bits in hex, for links and for session cookies.
pub(super) fn random_token() -> Result<String, getrandom::Error> {
    use std::fmt::Write as _;
    let mut bytes = [0u8; 32];
    getrandom::fill(&mut bytes)?;
    Ok(bytes.iter().fold(String::with_capacity(64), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    }))
}

fn hash(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_opens_once_and_for_its_actor() {
        let links = Links::default();
        let token = links.issue(Actor::Local("alice".into())).expect("random");
        assert_eq!(links.redeem("0000"), None);
        assert_eq!(links.redeem(&token), Some(Actor::Local("alice".into())));
        assert_eq!(links.redeem(&token), None, "used up");
    }

    #[test]
    fn a_link_ends_after_its_time() {
        let links = Links::default();
        let token = links.issue(Actor::Local("alice".into())).expect("random");
        assert_eq!(links.redeem_at(&token, Instant::now() + VALID), None);
    }

    #[test]
    fn the_number_of_waiting_links_is_bounded() {
        let links = Links::default();
        let first = links.issue(Actor::System).expect("random");
        for _ in 0..MOST {
            links.issue(Actor::System).expect("random");
        }
        assert_eq!(links.redeem(&first), None);
    }
}
