//! Who asks, and whether they may. Both doors recognise people and programs through here, and every method that
//! changes something asks [`Engine::allow`] before it does anything: a door that forgets to ask cannot open more.

mod hashing;
mod login;
mod people;
mod refusals;
mod secrets;
mod standing;

use crate::domain::{Access, Actor, Ask, Decision, Factor, Grants, HostName, On, Proof, Role, Span, Tag, Timestamp};
use crate::store::{By, SessionRow, UserRow};

use super::{Engine, EngineError};

pub use login::{Credentials, LoggedIn, LoginError};
pub use people::NewTotp;
pub use secrets::hash_of;
pub use standing::{Shown, tokens};

use standing::why_refused;

pub(super) use hashing::Verifier;
pub(super) use refusals::{Refusals, refusal_loop};

/// What the engine is told about log-ins.
#[derive(Clone, Debug)]
pub struct AccessSettings {
    /// How long a session lasts at most.
    pub session: Span,
    /// How long a session may stay unused.
    pub idle: Span,
    /// Who has one of these roles may do nothing before they have a second factor.
    pub require_totp: Vec<Role>,
}

/// How long a proof holds for what is dangerous.
pub const PROOF_HOLDS: Span = Span::from_secs(600);

/// Somebody who was recognised by a session.
#[derive(Clone, Debug)]
pub struct Known {
    /// For the engine. Its address is to be filled in by the door.
    pub by: By,
    /// The session.
    pub session: SessionRow,
    /// The user; none where the session is that of an account of this machine.
    pub user: Option<UserRow>,
    /// True where they have to set up a second factor before anything else.
    pub must_enrol: bool,
}

/// Hosts that a refusal names beside the first.
const NAMED: usize = 10;
/// To the minute is near enough for "last used".
const A_MINUTE: Span = Span::from_secs(60);

impl Engine {
    /// Sessions that were last used at this time or before have ended.
    #[must_use]
    pub fn sessions_unused_since(&self) -> Timestamp {
        Timestamp::now().minus(self.0.settings.access.idle)
    }

    /// Whose session it is, by the hash of its secret; none where it has ended. `alive` says that a person does
    /// something, and not a page that polls by itself.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub async fn recognise(&self, hash: String, alive: bool) -> Result<Option<Known>, EngineError> {
        let found = self.0.store.session(hash).await?;
        let Some((session, user)) = found else {
            return Ok(None);
        };
        if session.last_seen_at <= self.sessions_unused_since() {
            return Ok(None);
        }
        let now = Timestamp::now();
        let settings = &self.0.settings.access;
        if alive
            && now.since(session.last_seen_at) >= A_MINUTE
            && let Err(why) = self.0.store.session_seen(session.id).await
        {
            tracing::warn!(%why, "the use of a session could not be noted");
        }
        let must_enrol = user.as_ref().is_some_and(|user| {
            let required = settings
                .require_totp
                .iter()
                .any(|role| user.grants.has_somewhere(*role));
            required && user.totp_secret.is_none()
        });
        let access = match (&user, &session.actor) {
            (Some(_), _) if must_enrol => Access::Granted(Grants::default()),
            (Some(user), _) => Access::Granted(user.grants.clone()),
            (None, Actor::Local(_)) => Access::Everything,
            (None, Actor::User(_) | Actor::Token(_) | Actor::System) => Access::Nothing,
        };
        let mut by = By::new(session.actor.clone(), None, access);
        by.proof = session
            .factor
            .zip(session.proved_at)
            .map(|(factor, at)| Proof::Given(factor, at));
        Ok(Some(Known {
            by,
            session,
            user,
            must_enrol,
        }))
    }

    /// Whose token it is, by the hash of its secret.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub async fn recognise_token(&self, hash: String) -> Result<Shown, EngineError> {
        let found = self
            .reader()
            .read(move |journal| {
                let Some(token) = journal.token(&hash)? else {
                    return Ok(None);
                };
                let refused = why_refused(journal, &token)?;
                Ok(Some((token, refused)))
            })
            .await?;
        let token = match found {
            None => return Ok(Shown::Unknown),
            Some((_, Some(why))) => return Ok(Shown::Refused(why)),
            Some((token, None)) => token,
        };
        let now = Timestamp::now();
        if token.last_used_at.is_none_or(|used| now.since(used) >= A_MINUTE)
            && let Err(why) = self.0.store.token_used(token.id).await
        {
            tracing::warn!(%why, "the use of a token could not be noted");
        }
        let access = Access::Granted(token.grants);
        Ok(Shown::Known(Box::new(By::new(Actor::Token(token.name), None, access))))
    }

    /// Whether who asked a while ago still may, as far as that was by a token or a session: for what waits before it
    /// answers. `secret` is the hash of what they showed; none where the kernel knows them.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub async fn still_known(&self, by: &By, secret: Option<String>, ask: Ask) -> Result<bool, EngineError> {
        let Some(hash) = secret else { return Ok(true) };
        let known = match by.actor {
            Actor::Token(_) => match self.recognise_token(hash).await? {
                Shown::Known(by) => Some(*by),
                Shown::Refused(_) | Shown::Unknown => None,
            },
            Actor::User(_) | Actor::Local(_) | Actor::System => {
                self.recognise(hash, false).await?.map(|known| known.by)
            }
        };
        Ok(known.is_some_and(|by| by.access.may(ask, On::Somewhere).is_allowed()))
    }

    /// True once there is any user: before that, only the set-up is served.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub async fn has_users(&self) -> Result<bool, EngineError> {
        Ok(self.reader().read(crate::store::Journal::has_users).await?)
    }

    /// Lets through what is granted on every one of these hosts.
    pub(super) fn allow<'a>(
        &self,
        by: &By,
        ask: Ask,
        hosts: impl IntoIterator<Item = (&'a HostName, &'a [Tag])>,
    ) -> Result<(), EngineError> {
        let mut denied = hosts
            .into_iter()
            .filter_map(|(name, tags)| match by.access.may(ask, On::Host(name, tags)) {
                Decision::Allowed => None,
                Decision::Denied(why) => Some((why, name)),
            });
        let Some((why, _)) = denied.next() else {
            return self.allow_at_all(by, ask);
        };
        let others: Vec<&str> = denied.map(|(_, name)| name.as_str()).collect();
        Err(EngineError::Forbidden(match others.len() {
            0 => why,
            1..=NAMED => format!("{why} (and on {})", others.join(", ")),
            more => format!(
                "{why} (and on {} and {} more)",
                others[..NAMED].join(", "),
                more - NAMED
            ),
        }))
    }

    /// Lets through what is granted at all, where it is about no host.
    pub(super) fn allow_at_all(&self, by: &By, ask: Ask) -> Result<(), EngineError> {
        match by.access.may(ask, On::Somewhere) {
            Decision::Allowed => Ok(()),
            Decision::Denied(why) => Err(EngineError::Forbidden(why)),
        }
    }

    /// Wants a person to have proved lately who they are. Accounts of this machine are proved by the kernel, and a
    /// token by having the right at all.
    pub(super) fn proved_lately(&self, by: &By) -> Result<(), EngineError> {
        if !matches!(by.actor, Actor::User(_)) {
            return Ok(());
        }
        let now = Timestamp::now();
        match by.proof {
            // A proof from the future (a clock that was set back) is none.
            Some(Proof::Given(_, at)) if at <= now && now.since(at) < PROOF_HOLDS => Ok(()),
            _ => Err(EngineError::StepUp),
        }
    }

    /// The host of a command, for [`Engine::allow`].
    pub(super) async fn allow_on_host(&self, by: &By, ask: Ask, name: &HostName) -> Result<(), EngineError> {
        let wanted = name.clone();
        let host = self.reader().read(move |journal| journal.host(&wanted)).await?;
        let tags = host.map(|host| host.tags).unwrap_or_default();
        self.allow(by, ask, [(name, tags.as_slice())])
    }

    /// The hosts of a pipeline, by their numbers.
    pub(super) async fn allow_on_hosts(&self, by: &By, ask: Ask, ids: Vec<i64>) -> Result<(), EngineError> {
        if by.access.may(ask, On::Everywhere).is_allowed() {
            return Ok(());
        }
        let hosts = self
            .reader()
            .read(move |journal| {
                let mut hosts = Vec::with_capacity(ids.len());
                for id in ids {
                    hosts.extend(journal.host_by_id(id)?);
                }
                Ok(hosts)
            })
            .await?;
        self.allow(by, ask, hosts.iter().map(|host| (&host.hostname, host.tags.as_slice())))
    }
}

/// How somebody proved who they are, in a sentence.
#[must_use]
pub fn factor_in_words(factor: Factor) -> &'static str {
    match factor {
        Factor::Password => "password",
        Factor::Totp => "code of the second factor",
        Factor::Recovery => "recovery code",
    }
}
