//! The first run: a secret, printed once, with which the first user is made. It is worth something only while there is
//! no user, for an hour, and once.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::links::random_token;
use crate::domain::{Span, Timestamp};

/// How long the link can be used.
const VALID: Span = Span::from_secs(60 * 60);

/// See the module. In memory only: a restart makes another one.
#[derive(Default)]
pub struct SetUp(Mutex<Option<Waiting>>);

#[derive(Clone, Copy)]
struct Waiting {
    hash: [u8; 32],
    /// By both clocks: one stands still while the machine sleeps, the other may be set back.
    since: (Instant, Timestamp),
}

impl SetUp {
    /// A new secret, to be put behind `/setup?key=`; the one before is worth nothing.
    ///
    /// # Errors
    /// When the system has no randomness to give.
    pub fn issue(&self) -> Result<String, getrandom::Error> {
        let token = random_token()?;
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *waiting = Some(Waiting {
            hash: hash(&token),
            since: (Instant::now(), Timestamp::now()),
        });
        Ok(token)
    }

    /// Whether this is the secret, and may still be used.
    #[must_use]
    pub fn is(&self, token: &str) -> bool {
        self.is_at(token, (Instant::now(), Timestamp::now()))
    }

    fn is_at(&self, token: &str, now: (Instant, Timestamp)) -> bool {
        let waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.is_some_and(|waiting| waiting.is_valid(now) && bool::from(waiting.hash.ct_eq(&hash(token))))
    }

    /// It has done its work.
    pub fn forget(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

impl Waiting {
    fn is_valid(&self, now: (Instant, Timestamp)) -> bool {
        let (steady, clock) = self.since;
        now.0.duration_since(steady) < VALID.to_std() && clock <= now.1 && now.1 < clock.plus(VALID)
    }
}

fn hash(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_link_works_for_an_hour_and_once() {
        let set_up = SetUp::default();
        assert!(!set_up.is(""));
        let old = set_up.issue().expect("random");
        let token = set_up.issue().expect("random");
        assert!(set_up.is(&token) && !set_up.is(&old) && !set_up.is("0000"));
        let (steady, clock) = (Instant::now(), Timestamp::now());
        assert!(set_up.is_at(&token, (steady, clock)));
        assert!(!set_up.is_at(&token, (steady + VALID.to_std(), clock)));
        assert!(!set_up.is_at(&token, (steady, clock.plus(VALID))));
        assert!(!set_up.is_at(&token, (steady, clock.minus(VALID))), "set back");
        set_up.forget();
        assert!(!set_up.is(&token));
    }
}
