//! How somebody proves who they are: at log-in, and once more before what is dangerous.
//!
//! An unknown name, a wrong password, a wrong code and a disabled account get the same answer after the same work:
//! a password is always hashed, against a hash of nobody's where there is none.

use std::net::IpAddr;

use crate::domain::{Access, Actor, Factor, Grants, Timestamp};
use crate::store::{Account, Attempt, By, Counted, NewSession, NewUser, UserRow};

use super::super::{Engine, EngineError};
use super::secrets;

/// What somebody typed. Has no `Debug`.
pub struct Credentials {
    /// The name.
    pub name: String,
    /// The password.
    pub password: String,
    /// The second factor's code, or a recovery code; empty where there is none.
    pub code: String,
    /// Where it comes from.
    pub address: Option<String>,
    /// What the browser says that it is.
    pub agent: Option<String>,
}

/// A session that was opened. Has no `Debug`: it holds the session's secret.
pub struct LoggedIn {
    /// The secret, for the cookie; only its hash is stored.
    pub secret: String,
    /// The user's name.
    pub name: String,
}

/// Why nobody was let in.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// Something of it is wrong; what, is not said.
    #[error("the name, the password or the code is wrong")]
    Wrong,
    /// Too many were wrong before.
    #[error("too many tries under this name, or from this address, by whoever it was; try again after {} UTC, {}",
        &.0.to_string()[11..19], from_now(*.0))]
    Wait(Timestamp),
    /// Something else.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

impl LoginError {
    /// After how many seconds it is worth another try, as the header `Retry-After` has it.
    #[must_use]
    pub fn retry_after(&self) -> Option<i64> {
        match self {
            Self::Wait(until) => Some((until.since(Timestamp::now()).as_secs() + 1).max(1)),
            Self::Wrong | Self::Engine(_) => None,
        }
    }
}

/// `in 40 s`, `in 4 min`: never too short.
fn from_now(until: Timestamp) -> String {
    match (until.since(Timestamp::now()).as_secs() + 1).max(1) {
        seconds @ ..=90 => format!("in {seconds} s"),
        seconds => format!("in {} min", (seconds + 59) / 60),
    }
}

impl From<crate::store::WriteError> for LoginError {
    fn from(why: crate::store::WriteError) -> Self {
        Self::Engine(why.into())
    }
}

/// Failures that are free before somebody has to wait: for one account from one address, or within one session.
const FREE_NARROW: i64 = 5;
/// The same for one account from wherever it has not logged in from before: one address alone never gets there.
const FREE_ACCOUNT: i64 = 50;
/// Log-ins of one account that go well within an hour.
const FREE_OPENED: i64 = 60;
/// The same for one address, for whichever account.
const FREE_ADDRESS: i64 = 20;

impl Engine {
    /// Opens a session for who knows a name, its password and, where it has one, a code of its second factor.
    ///
    /// # Errors
    /// [`LoginError`].
    pub async fn log_in(&self, given: Credentials) -> Result<LoggedIn, LoginError> {
        let name = given.name.trim().to_lowercase();
        let stranger = By::new(Actor::System, given.address.clone(), Access::Nothing);
        let attempt = log_in_of(&name, given.address.as_deref());
        if let Some(until) = self.0.store.begin_attempt(attempt.clone(), stranger.clone()).await? {
            self.note_failure("a log-in was refused: too many failed before", stranger);
            return Err(LoginError::Wait(until));
        }
        let wanted = name.clone();
        let user = self.reader().read(move |journal| journal.user(&wanted)).await;
        let user = user.map_err(EngineError::from)?;
        let fits = self
            .password_fits(user.as_ref().map(|user| user.password.clone()), given.password)
            .await?;
        let enabled = user.as_ref().filter(|user| fits && user.disabled_at.is_none());
        let factor = match enabled {
            Some(user) => self.second_factor(user, &given.code, &stranger).await?,
            None => None,
        };
        let (Some(user), Some(factor)) = (enabled, factor) else {
            match user {
                Some(user) => {
                    let by = By {
                        actor: Actor::User(user.name),
                        ..stranger
                    };
                    self.note_failure("a log-in failed", by);
                }
                None => self.note_failure("a log-in failed: there is no such user", stranger),
            }
            return Err(LoginError::Wrong);
        };
        let by = By {
            actor: Actor::User(user.name.clone()),
            ..stranger
        };
        if let Some(until) = self.0.store.attempt_went_well(attempt, by).await? {
            return Err(LoginError::Wait(until));
        }
        match self.open_for(user, factor, given.address, given.agent).await {
            // The account was changed while the password was looked at.
            Err(EngineError::Conflict(_)) => Err(LoginError::Wrong),
            opened => Ok(opened?),
        }
    }

    /// Checks once more that it is them: by a code where they have a second factor, else by the password.
    ///
    /// # Errors
    /// [`LoginError`]; counted like a failed log-in.
    pub async fn step_up(&self, known: &super::Known, typed: String, by: &By) -> Result<By, LoginError> {
        let Some(user) = &known.user else {
            return Ok(by.clone());
        };
        let attempt = confirmation_in(known.session.id);
        if let Some(until) = self.0.store.begin_attempt(attempt.clone(), by.clone()).await? {
            return Err(LoginError::Wait(until));
        }
        let factor = if user.totp_secret.is_some() {
            self.second_factor(user, &typed, by).await?
        } else {
            let fits = self.password_fits(Some(user.password.clone()), typed).await?;
            fits.then_some(Factor::Password)
        };
        let Some(factor) = factor else {
            self.note_failure("the confirmation before something dangerous failed", by.clone());
            return Err(LoginError::Wrong);
        };
        self.0.store.attempt_went_well(attempt, by.clone()).await?;
        let session = known.session.id;
        let at = self
            .0
            .store
            .session_proved(session, user.proved(), factor, by.clone())
            .await?;
        let mut by = by.clone();
        by.proof = Some(crate::domain::Proof::Given(factor, at));
        Ok(by)
    }

    /// Makes the first user, who may everything, and lets them in. Only where there is no user yet.
    ///
    /// # Errors
    /// A name or password that cannot be taken; somebody else was first.
    pub async fn set_up(&self, given: Credentials) -> Result<LoggedIn, EngineError> {
        let name = given.name.trim().to_owned();
        secrets::check_name(&name)?;
        secrets::check_password(&name, &given.password)?;
        let new = NewUser {
            name: name.clone(),
            password: self.hash_password(given.password).await?,
            grants: Grants::all(),
            first: true,
        };
        let by = By::new(Actor::User(name), given.address.clone(), Access::Granted(Grants::all()));
        let user = self.0.store.add_user(new, by).await?;
        self.open_for(&user, Factor::Password, given.address, given.agent).await
    }

    /// A session for who used a one-time link on this machine; gives its secret.
    ///
    /// # Errors
    /// When the journal cannot be written.
    pub async fn open_local_session(&self, by: By, agent: Option<String>) -> Result<String, EngineError> {
        let secret = secrets::random_hex::<32>()?;
        let new = NewSession {
            hash: secrets::hash_of(&secret),
            user: None,
            agent,
            factor: None,
            expires_at: Timestamp::now().plus(self.0.settings.access.session),
            unused_since: self.sessions_unused_since(),
        };
        self.0.store.session_open(new, by).await?;
        Ok(secret)
    }

    /// Ends a session.
    ///
    /// # Errors
    /// When the journal cannot be written.
    pub async fn log_out(&self, hash: String, by: By) -> Result<bool, EngineError> {
        Ok(self.0.store.session_close(hash, by).await?)
    }

    async fn open_for(
        &self,
        user: &UserRow,
        factor: Factor,
        address: Option<String>,
        agent: Option<String>,
    ) -> Result<LoggedIn, EngineError> {
        let secret = secrets::random_hex::<32>()?;
        let new = NewSession {
            hash: secrets::hash_of(&secret),
            user: Some(user.proved()),
            agent,
            factor: Some(factor),
            expires_at: Timestamp::now().plus(self.0.settings.access.session),
            unused_since: self.sessions_unused_since(),
        };
        let by = By::new(
            Actor::User(user.name.clone()),
            address,
            Access::Granted(user.grants.clone()),
        );
        self.0.store.session_open(new, by).await?;
        Ok(LoggedIn {
            secret,
            name: user.name.clone(),
        })
    }

    /// What the code proves; a user without a second factor needs none. No code is taken twice.
    async fn second_factor(&self, user: &UserRow, code: &str, by: &By) -> Result<Option<Factor>, EngineError> {
        let Some(secret) = &user.totp_secret else {
            return Ok(Some(Factor::Password));
        };
        let totp = secrets::totp(&user.name, secret)?;
        let now = Timestamp::now().as_micros() / 1_000_000;
        if let Some(step) = secrets::step_of_code(&totp, code, now) {
            let fresh = self.0.store.use_totp_step(user.id, step).await?;
            return Ok(fresh.then_some(Factor::Totp));
        }
        let Some(hash) = secrets::hash_of_recovery_code(code) else {
            return Ok(None);
        };
        let by = By {
            actor: Actor::User(user.name.clone()),
            ..by.clone()
        };
        let used = self.0.store.use_recovery_code(user, hash, by).await?;
        Ok(used.then_some(Factor::Recovery))
    }

    /// Journals it beside the answer, so that the answer takes the same time whatever is journaled.
    fn note_failure(&self, message: &'static str, by: By) {
        let engine = self.clone();
        self.0.tasks.spawn(async move {
            if let Err(why) = engine.note_log_in(message, by).await {
                tracing::warn!(%why, "a failed log-in could not be journaled");
            }
        });
    }
}

/// What a log-in is counted against. What came over the network makes nobody wait on this machine's own socket, where
/// there is no address.
fn log_in_of(name: &str, address: Option<&str>) -> Attempt {
    let address = address.map(network);
    let place = address.as_deref().unwrap_or("this machine");
    Attempt {
        narrow: counted(&format!("account:{name} from {place}"), FREE_NARROW),
        account: address.as_ref().map(|place| Account {
            failed: counted(&format!("account:{name}"), FREE_ACCOUNT),
            opened: counted(&format!("opened:{name}"), FREE_OPENED),
            name: name.to_owned(),
            place: secrets::hash_of(&format!("place:{name} from {place}")),
        }),
        address: Some(counted(&format!("address:{place}"), FREE_ADDRESS)),
    }
}

/// What a confirmation is counted against: only who has the session can use up its attempts.
fn confirmation_in(session: i64) -> Attempt {
    Attempt {
        narrow: counted(&format!("session:{session}"), FREE_NARROW),
        account: None,
        address: None,
    }
}

fn counted(what: &str, free: i64) -> Counted {
    Counted {
        what: secrets::hash_of(what),
        free,
    }
}

/// An address as it is counted: whoever has one IPv6 address has 2^64 of them.
pub(super) fn network(address: &str) -> String {
    match address.parse::<IpAddr>().map(|address| address.to_canonical()) {
        Ok(IpAddr::V6(address)) => {
            let [a, b, c, d, ..] = address.segments();
            format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
        }
        Ok(IpAddr::V4(address)) => address.to_string(),
        Err(_) => address.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_in_a_network_are_counted_together() {
        assert_eq!(network("2001:db8:1:2::1"), network("2001:db8:1:2:ffff::9"));
        assert_ne!(network("2001:db8:1:2::1"), network("2001:db8:1:3::1"));
        assert_eq!(network("::ffff:192.0.2.7"), network("192.0.2.7"));
        assert_ne!(network("192.0.2.7"), network("192.0.2.8"));
    }
}
