//! Users, tokens and sessions: made, changed, ended. Nobody gives away more than they have, nor changes who has more.

use crate::domain::{Actor, Ask, Decision, Grants, Invalid, Timestamp};
use crate::store::{By, NewToken, NewUser, TokenRow, UserRow, WriteError};

use super::super::{Engine, EngineError};
use super::secrets;

/// A second factor that somebody is about to set up. Has no `Debug`.
pub struct NewTotp {
    /// Its secret, in base32.
    pub secret: String,
    /// The same with the name, as apps read it from a picture: `otpauth://...`.
    pub url: String,
}

impl Engine {
    /// Makes a user.
    ///
    /// # Errors
    /// Not allowed; a name or password that cannot be taken; a name that is, or was, in use.
    pub async fn add_user(
        &self,
        name: String,
        password: String,
        grants: Grants,
        by: By,
    ) -> Result<UserRow, EngineError> {
        self.may_manage(&by, Ask::Users, &grants)?;
        secrets::check_name(&name)?;
        secrets::check_password(&name, &password)?;
        let new = NewUser {
            name,
            password: self.hash_password(password).await?,
            grants,
            first: false,
        };
        self.0.store.add_user(new, by).await.map_err(unknown)
    }

    /// Gives a user other rights.
    ///
    /// # Errors
    /// Not allowed; no such user; nobody would be admin any more.
    pub async fn set_grants(&self, name: String, grants: Grants, by: By) -> Result<UserRow, EngineError> {
        let user = self.user(&name).await?;
        self.allow_at_all(&by, Ask::Users)?;
        for theirs in [&user.grants, &grants] {
            if let Decision::Denied(why) = by.access.may_give(theirs) {
                return Err(EngineError::Forbidden(why));
            }
        }
        self.may_manage(&by, Ask::Users, &grants)?;
        self.0.store.set_grants(name, grants, by).await.map_err(unknown)
    }

    /// Sets a user's password, one's own or, as an admin, another's. Their other sessions end.
    ///
    /// # Errors
    /// Not allowed; no such user; a password that cannot be taken.
    pub async fn set_password(
        &self,
        name: String,
        password: String,
        keep: Option<i64>,
        by: By,
    ) -> Result<UserRow, EngineError> {
        let user = self.may_change(&name, &by).await?;
        secrets::check_password(&name, &password)?;
        let own = (by.actor == Actor::User(name.clone())).then(|| user.proved());
        let hash = self.hash_password(password).await?;
        let set = self.0.store.set_password(name, hash, keep, own, by).await;
        set.map_err(unknown)
    }

    /// Shuts a user out, or lets them in again.
    ///
    /// # Errors
    /// Not allowed; no such user; nobody would be admin any more.
    pub async fn set_disabled(&self, name: String, disabled: bool, by: By) -> Result<UserRow, EngineError> {
        let user = self.user(&name).await?;
        self.may_manage(&by, Ask::Users, &user.grants)?;
        self.0.store.set_disabled(name, disabled, by).await.map_err(unknown)
    }

    /// A secret for a second factor, which is nobody's yet.
    ///
    /// # Errors
    /// When there is no randomness.
    pub fn new_totp(&self, name: &str, secret: Option<String>) -> Result<NewTotp, EngineError> {
        let secret = match secret {
            Some(secret) => secret,
            None => secrets::new_totp_secret()?,
        };
        let url = secrets::totp(name, &secret)?
            .to_url()
            .map_err(|why| EngineError::Internal(format!("the second factor's address: {why}")))?;
        Ok(NewTotp { secret, url })
    }

    /// Sets up somebody's own second factor, once they have shown a code of it; gives the recovery codes, this once.
    /// `user` is who they were when their session was recognised; all their sessions but `keep` end.
    ///
    /// # Errors
    /// A wrong code; not confirmed lately who they are; the account was changed in the meantime.
    pub async fn set_totp(
        &self,
        user: &UserRow,
        secret: String,
        code: &str,
        keep: Option<i64>,
        by: By,
    ) -> Result<Vec<String>, EngineError> {
        let (name, own) = (user.name.as_str(), Some(user.proved()));
        self.may_change(name, &by).await?;
        let totp = secrets::totp(name, &secret)?;
        let now = Timestamp::now().as_micros() / 1_000_000;
        let step = secrets::step_of_code(&totp, code, now).ok_or_else(|| {
            Invalid::new(
                "code",
                "is not the one that the app shows now; is the phone's clock right?",
            )
        })?;
        let codes = secrets::new_recovery_codes()?;
        let hashes = codes
            .iter()
            .filter_map(|code| secrets::hash_of_recovery_code(code))
            .collect();
        self.0
            .store
            .set_totp(name.to_owned(), Some((secret, step)), hashes, keep, own, by)
            .await
            .map_err(unknown)?;
        Ok(codes)
    }

    /// Takes a second factor away, one's own or, as an admin, another's. Their sessions end, all but `keep`.
    ///
    /// # Errors
    /// Not allowed; no such user.
    pub async fn remove_totp(&self, name: &str, keep: Option<i64>, by: By) -> Result<UserRow, EngineError> {
        let user = self.may_change(name, &by).await?;
        let own = (by.actor == Actor::User(user.name.clone())).then(|| user.proved());
        let removed = self.0.store.set_totp(user.name, None, Vec::new(), keep, own, by);
        let changed = removed.await;
        changed.map_err(unknown)
    }

    /// Makes a token; gives its secret, this once.
    ///
    /// # Errors
    /// Not allowed; a name that cannot be taken, or is or was in use; an end that is over.
    pub async fn add_token(
        &self,
        name: String,
        grants: Grants,
        expires_at: Option<Timestamp>,
        by: By,
    ) -> Result<(TokenRow, String), EngineError> {
        self.may_manage(&by, Ask::Tokens, &grants)?;
        secrets::check_name(&name)?;
        if grants == Grants::default() {
            return Err(Invalid::new("role", "say what the token may do, for example viewer").into());
        }
        if expires_at.is_some_and(|end| end <= Timestamp::now()) {
            return Err(Invalid::new("expires", "is over already").into());
        }
        let secret = format!("qd_{}", secrets::random_hex::<32>()?);
        let new = NewToken {
            name,
            hash: secrets::hash_of(&secret),
            grants,
            expires_at,
        };
        let row = self.0.store.add_token(new, by).await.map_err(unknown)?;
        Ok((row, secret))
    }

    /// Ends a token for ever: one's own making, or one that may nothing that one may not oneself.
    ///
    /// # Errors
    /// Not allowed; not confirmed lately who they are; no such token; revoked before.
    pub async fn revoke_token(&self, name: String, by: By) -> Result<TokenRow, EngineError> {
        self.allow_at_all(&by, Ask::Tokens)?;
        let wanted = name.clone();
        let token = self.reader().read(move |journal| journal.token_named(&wanted)).await?;
        if let Some(token) = token
            && token.created_by != by.actor
            && !by.access.may_give(&token.grants).is_allowed()
        {
            let why = format!("this token may do what you may not yourself ({})", token.grants);
            return Err(EngineError::Forbidden(why));
        }
        self.proved_lately(&by)?;
        self.0.store.revoke_token(name, by).await.map_err(unknown)
    }

    /// Ends a session: one's own or, as an admin, that of who may nothing that one may not oneself.
    ///
    /// # Errors
    /// Not allowed, or there is none of this number.
    pub async fn revoke_session(&self, id: i64, by: By) -> Result<Actor, EngineError> {
        self.allow_at_all(&by, Ask::Account)?;
        let none = || EngineError::Unknown("session of yours with this number".to_owned());
        let found = self.reader().read(move |journal| journal.session_by_id(id)).await?;
        let (session, user) = found.ok_or_else(none)?;
        if session.actor != by.actor {
            self.allow_at_all(&by, Ask::Users).map_err(|_| none())?;
            // An account of this machine may everything.
            let theirs = user.map_or_else(Grants::all, |user| user.grants);
            if let Decision::Denied(why) = by.access.may_give(&theirs) {
                return Err(EngineError::Forbidden(why));
            }
        }
        let whose = self.0.store.session_revoke(id, session.actor, by).await?;
        whose.ok_or_else(none)
    }

    async fn user(&self, name: &str) -> Result<UserRow, EngineError> {
        let wanted = name.to_owned();
        let user = self.reader().read(move |journal| journal.user(&wanted)).await?;
        user.ok_or_else(|| EngineError::Unknown(format!("user “{}”", crate::domain::bounded(name, 80))))
    }

    /// One's own account, or one that one may manage; in both cases confirmed lately.
    async fn may_change(&self, name: &str, by: &By) -> Result<UserRow, EngineError> {
        let user = self.user(name).await?;
        if by.actor == Actor::User(user.name.clone()) {
            self.allow_at_all(by, Ask::Account)?;
            self.proved_lately(by)?;
        } else {
            self.may_manage(by, Ask::Users, &user.grants)?;
        }
        Ok(user)
    }

    fn may_manage(&self, by: &By, ask: Ask, grants: &Grants) -> Result<(), EngineError> {
        self.allow_at_all(by, ask)?;
        match by.access.may_give(grants) {
            Decision::Allowed => self.proved_lately(by),
            Decision::Denied(why) => Err(EngineError::Forbidden(why)),
        }
    }
}

fn unknown(why: WriteError) -> EngineError {
    match why {
        WriteError::NotFound(what) => EngineError::Unknown(what),
        WriteError::Invalid(_)
        | WriteError::Conflict(_)
        | WriteError::UnknownHost(_)
        | WriteError::LowSpace { .. }
        | WriteError::Database(_)
        | WriteError::Closed => why.into(),
    }
}
