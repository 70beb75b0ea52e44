//! `tokens`: programs that may ask over the network. Only the hash of a token's secret is kept.

use diesel::prelude::*;
use serde::Serialize;

use super::schema::tokens;
use super::{By, Journal, NewEvent, ReadError, Store, WriteError};
use crate::domain::{Actor, Grants, Level, Tag, Timestamp};

/// A token, without its secret.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Queryable, Selectable, utoipa::ToSchema)]
#[diesel(table_name = tokens, check_for_backend(diesel::sqlite::Sqlite))]
pub struct TokenRow {
    /// Its number.
    pub id: i64,
    /// Its name; never used again.
    pub name: String,
    /// What it may do.
    pub grants: Grants,
    /// Who made it.
    pub created_by: Actor,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends by itself.
    pub expires_at: Option<Timestamp>,
    /// When it was last used, to the minute.
    pub last_used_at: Option<Timestamp>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
}

/// A token that is to be made.
#[derive(Clone)]
pub struct NewToken {
    /// Its name.
    pub name: String,
    /// The hash of its secret.
    pub hash: String,
    /// What it may do.
    pub grants: Grants,
    /// When it ends by itself.
    pub expires_at: Option<Timestamp>,
}

impl TokenRow {
    /// True where it was revoked, or its time is up.
    #[must_use]
    pub fn has_ended(&self, now: Timestamp) -> bool {
        self.revoked_at.is_some() || self.expires_at.is_some_and(|end| end <= now)
    }
}

impl Journal {
    /// Who has rights on a host only because it has one of these tags, and which: users, disabled ones too (they may be
    /// let in again), and tokens that have not ended.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn rights_through(&mut self, tags: &[Tag]) -> Result<Vec<(Actor, Grants)>, ReadError> {
        if tags.is_empty() {
            return Ok(Vec::new());
        }
        let now = Timestamp::now();
        let users = self
            .users()?
            .into_iter()
            .map(|user| (Actor::User(user.name), user.grants));
        let tokens = self.tokens()?.into_iter().filter(|token| !token.has_ended(now));
        let tokens = tokens.map(|token| (Actor::Token(token.name), token.grants));
        Ok(users
            .chain(tokens)
            .map(|(actor, grants)| (actor, grants.through(tags)))
            .filter(|(_, through)| *through != Grants::default())
            .collect())
    }

    /// The token of this name, also one that has ended.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn token_named(&mut self, name: &str) -> Result<Option<TokenRow>, ReadError> {
        Ok(tokens::table
            .filter(tokens::name.eq(name))
            .select(TokenRow::as_select())
            .get_result(&mut self.conn)
            .optional()?)
    }

    /// Every token, ended ones too, by name.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn tokens(&mut self) -> Result<Vec<TokenRow>, ReadError> {
        Ok(tokens::table
            .order(tokens::name.asc())
            .select(TokenRow::as_select())
            .load(&mut self.conn)?)
    }

    /// The token of this hash, unless it has ended.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn token(&mut self, hash: &str) -> Result<Option<TokenRow>, ReadError> {
        let row: Option<TokenRow> = tokens::table
            .filter(tokens::hash.eq(hash))
            .select(TokenRow::as_select())
            .first(&mut self.conn)
            .optional()?;
        let now = Timestamp::now();
        Ok(row.filter(|row| !row.has_ended(now)))
    }
}

impl Store {
    /// Makes a token.
    ///
    /// # Errors
    /// [`WriteError::Conflict`] where the name is, or was, in use.
    pub async fn add_token(&self, new: NewToken, by: By) -> Result<TokenRow, WriteError> {
        self.write(move |tx| {
            let before: Option<i64> = tokens::table
                .filter(tokens::name.eq(&new.name))
                .select(tokens::id)
                .first(&mut tx.journal.conn)
                .optional()?;
            if before.is_some() {
                let why = format!("there is, or was, a token “{}”; names are not used again", new.name);
                return Err(WriteError::Conflict(why).into());
            }
            let row = diesel::insert_into(tokens::table)
                .values((
                    tokens::name.eq(&new.name),
                    tokens::hash.eq(&new.hash),
                    tokens::grants.eq(&new.grants),
                    tokens::created_by.eq(&by.actor),
                    tokens::created_at.eq(tx.now),
                    tokens::expires_at.eq(new.expires_at),
                ))
                .returning(TokenRow::as_returning())
                .get_result(&mut tx.journal.conn)?;
            let message = format!("{} made the token {}: {}", by.actor.name(), row.name, row.grants);
            tx.event(NewEvent {
                details: Some(serde_json::json!({
                    "token": row.name, "after": row.grants, "expires_at": row.expires_at,
                })),
                ..NewEvent::audit(&by, Level::Info, "token:add", message)
            })?;
            Ok(row)
        })
        .await
    }

    /// Ends a token for ever.
    ///
    /// # Errors
    /// [`WriteError::NotFound`]; [`WriteError::Conflict`] where it was revoked before.
    pub async fn revoke_token(&self, name: String, by: By) -> Result<TokenRow, WriteError> {
        self.write(move |tx| {
            let row: Option<TokenRow> = tokens::table
                .filter(tokens::name.eq(&name))
                .select(TokenRow::as_select())
                .first(&mut tx.journal.conn)
                .optional()?;
            let row = row.ok_or_else(|| WriteError::NotFound(format!("the token “{name}”")))?;
            if row.revoked_at.is_some() {
                return Err(WriteError::Conflict(format!("the token {name} was revoked already")).into());
            }
            let row = diesel::update(tokens::table.find(row.id))
                .set(tokens::revoked_at.eq(tx.now))
                .returning(TokenRow::as_returning())
                .get_result(&mut tx.journal.conn)?;
            let message = format!("{} revoked the token {name}", by.actor.name());
            tx.event(NewEvent {
                details: Some(serde_json::json!({ "token": name })),
                ..NewEvent::audit(&by, Level::Info, "token:revoke", message)
            })?;
            Ok(row)
        })
        .await
    }

    /// Notes that a token was used. No event: its uses are events of their own.
    ///
    /// # Errors
    /// [`WriteError`].
    pub async fn token_used(&self, id: i64) -> Result<(), WriteError> {
        self.write(move |tx| {
            diesel::update(tokens::table.find(id))
                .set(tokens::last_used_at.eq(tx.now))
                .execute(&mut tx.journal.conn)?;
            Ok(())
        })
        .await
    }
}
