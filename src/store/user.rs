//! `users`: people. A user is never deleted, so that no name is ever given away twice.

use diesel::prelude::*;
use serde::Serialize;

use super::error::Fault;
use super::schema::{sessions, users};
use super::tx::Tx;
use super::{By, Journal, NewEvent, ReadError, Store, WriteError};
use crate::domain::{Grants, Level, Role, Timestamp};

/// A person with an account. What is secret of it is not serialized, and not shown by `Debug`.
#[derive(Clone, PartialEq, Eq, Serialize, Queryable, Selectable, utoipa::ToSchema)]
#[diesel(table_name = users, check_for_backend(diesel::sqlite::Sqlite))]
pub struct UserRow {
    /// Its number.
    pub id: i64,
    /// Its name; never used again.
    pub name: String,
    /// The password's hash: a PHC string of argon2id.
    #[serde(skip)]
    pub password: String,
    /// What it may do.
    pub grants: Grants,
    /// The second factor's secret, in base32.
    #[serde(skip)]
    pub totp_secret: Option<String>,
    /// The last time step whose code was taken.
    #[serde(skip)]
    pub totp_step: i64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When its password was last set.
    pub password_at: Timestamp,
    /// Since when it cannot log in.
    pub disabled_at: Option<Timestamp>,
    /// Rises whenever what was proved before is void; see [`Proved`].
    #[serde(skip)]
    pub era: i64,
}

/// A user as they were when they proved who they are. A new password, another second factor and shutting out make
/// that void, also while somebody still waits for the answer to it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Proved {
    /// The user's number.
    pub id: i64,
    /// The user's era at that time.
    pub era: i64,
}

impl UserRow {
    /// For what is proved against this row.
    #[must_use]
    pub fn proved(&self) -> Proved {
        Proved {
            id: self.id,
            era: self.era,
        }
    }
}

impl std::fmt::Debug for UserRow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UserRow")
            .field("name", &self.name)
            .field("grants", &self.grants)
            .field("disabled_at", &self.disabled_at)
            .finish_non_exhaustive()
    }
}

/// A user that is to be made. The password is hashed already.
#[derive(Clone)]
pub struct NewUser {
    /// Its name.
    pub name: String,
    /// The password's hash.
    pub password: String,
    /// What it may do.
    pub grants: Grants,
    /// Only where there is no user yet.
    pub first: bool,
}

impl Journal {
    /// Every user, disabled ones too, by name.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn users(&mut self) -> Result<Vec<UserRow>, ReadError> {
        Ok(users::table
            .order(users::name.asc())
            .select(UserRow::as_select())
            .load(&mut self.conn)?)
    }

    /// The user of this name, also a disabled one.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn user(&mut self, name: &str) -> Result<Option<UserRow>, ReadError> {
        Ok(users::table
            .filter(users::name.eq(name))
            .select(UserRow::as_select())
            .first(&mut self.conn)
            .optional()?)
    }

    /// True once there is any user.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn has_users(&mut self) -> Result<bool, ReadError> {
        let first: Option<i64> = users::table.select(users::id).first(&mut self.conn).optional()?;
        Ok(first.is_some())
    }
}

impl Store {
    /// Makes a user.
    ///
    /// # Errors
    /// [`WriteError::Conflict`] where the name is, or was, in use; or it should be the first and is not.
    pub async fn add_user(&self, new: NewUser, by: By) -> Result<UserRow, WriteError> {
        self.write(move |tx| {
            if new.first && tx.journal.has_users()? {
                return Err(WriteError::Conflict("there is a user already; log in".to_owned()).into());
            }
            if tx.journal.user(&new.name)?.is_some() {
                let why = format!("there is, or was, a user “{}”; names are not used again", new.name);
                return Err(WriteError::Conflict(why).into());
            }
            let row = diesel::insert_into(users::table)
                .values((
                    users::name.eq(&new.name),
                    users::password.eq(&new.password),
                    users::grants.eq(&new.grants),
                    users::created_at.eq(tx.now),
                    users::password_at.eq(tx.now),
                ))
                .returning(UserRow::as_returning())
                .get_result(&mut tx.journal.conn)?;
            let message = format!("{} made the user {}: {}", by.actor.name(), row.name, shown(&row.grants));
            changed(
                tx,
                &by,
                "user:add",
                message,
                serde_json::json!({ "user": row.name, "after": row.grants }),
            )?;
            Ok(row)
        })
        .await
    }

    /// Gives a user other rights.
    ///
    /// # Errors
    /// [`WriteError::NotFound`]; [`WriteError::Conflict`] where nobody would be admin any more.
    pub async fn set_grants(&self, name: String, grants: Grants, by: By) -> Result<UserRow, WriteError> {
        self.write(move |tx| {
            let before = found(tx, &name)?;
            if !grants.has(Role::Admin) {
                keep_an_admin(tx, &before)?;
            }
            let row = diesel::update(users::table.find(before.id))
                .set(users::grants.eq(&grants))
                .returning(UserRow::as_returning())
                .get_result(&mut tx.journal.conn)?;
            let message = format!("{} gave {name} other rights: {}", by.actor.name(), shown(&grants));
            let details = serde_json::json!({ "user": name, "before": before.grants, "after": grants });
            changed(tx, &by, "user:role", message, details)?;
            Ok(row)
        })
        .await
    }

    /// Sets a user's password, and ends their sessions, all but the one with the number `keep`, which has to be proved
    /// anew. Who sets their `own`
    /// must still be let in.
    ///
    /// # Errors
    /// [`WriteError::NotFound`]; [`WriteError::Conflict`] where `own` is void by now, or `keep` has ended.
    pub async fn set_password(
        &self,
        name: String,
        hash: String,
        keep: Option<i64>,
        own: Option<Proved>,
        by: By,
    ) -> Result<UserRow, WriteError> {
        self.write(move |tx| {
            let before = let_in(tx, &name, own, keep)?;
            let row = diesel::update(users::table.find(before.id))
                .set((
                    users::password.eq(&hash),
                    users::password_at.eq(tx.now),
                    users::era.eq(users::era + 1),
                ))
                .returning(UserRow::as_returning())
                .get_result(&mut tx.journal.conn)?;
            end_sessions(tx, row.id, keep)?;
            let message = format!("{} set the password of {name}", by.actor.name());
            changed(tx, &by, "user:passwd", message, serde_json::json!({ "user": name }))?;
            Ok(row)
        })
        .await
    }

    /// Shuts a user out and ends their sessions, or lets them in again. The row stays.
    ///
    /// # Errors
    /// [`WriteError::NotFound`]; [`WriteError::Conflict`] where nobody would be admin any more.
    pub async fn set_disabled(&self, name: String, disabled: bool, by: By) -> Result<UserRow, WriteError> {
        self.write(move |tx| {
            let before = found(tx, &name)?;
            if disabled {
                keep_an_admin(tx, &before)?;
                end_sessions(tx, before.id, None)?;
            }
            let row = diesel::update(users::table.find(before.id))
                .set((
                    users::disabled_at.eq(disabled.then_some(tx.now)),
                    users::era.eq(users::era + 1),
                ))
                .returning(UserRow::as_returning())
                .get_result(&mut tx.journal.conn)?;
            let (action, did) = if disabled {
                ("user:disable", "disabled")
            } else {
                ("user:enable", "enabled")
            };
            let message = format!("{} {did} the user {name}", by.actor.name());
            changed(tx, &by, action, message, serde_json::json!({ "user": name }))?;
            Ok(row)
        })
        .await
    }
}

/// The user of this name, disabled or not.
fn found(tx: &mut Tx<'_>, name: &str) -> Result<UserRow, Fault> {
    let row = tx.journal.user(name)?;
    Ok(row.ok_or_else(|| WriteError::NotFound(format!("the user “{name}”")))?)
}

/// The user of that name, where who asks is still let in: what they proved of themselves, and their session.
pub(super) fn let_in(tx: &mut Tx<'_>, name: &str, own: Option<Proved>, keep: Option<i64>) -> Result<UserRow, Fault> {
    let row = found(tx, name)?;
    if let Some(own) = own {
        still_proved(tx, own)?;
    }
    still_open(tx, keep)?;
    Ok(row)
}

/// Refuses what was proved before it became void.
pub(super) fn still_proved(tx: &mut Tx<'_>, proved: Proved) -> Result<(), Fault> {
    let there: Option<i64> = users::table
        .find(proved.id)
        .filter(users::era.eq(proved.era))
        .filter(users::disabled_at.is_null())
        .select(users::id)
        .first(&mut tx.journal.conn)
        .optional()?;
    there.ok_or_else(void)?;
    Ok(())
}

/// Why somebody who was let in is not any more.
pub(super) fn void() -> WriteError {
    WriteError::Conflict("the account was changed in the meantime; log in again".to_owned())
}

/// Refuses what would leave nobody who can mend it from a page.
fn keep_an_admin(tx: &mut Tx<'_>, without: &UserRow) -> Result<(), Fault> {
    if without.disabled_at.is_some() || !without.grants.has(Role::Admin) {
        return Ok(());
    }
    let users = tx.journal.users()?;
    let others = users
        .iter()
        .any(|user| user.id != without.id && user.disabled_at.is_none() && user.grants.has(Role::Admin));
    if others {
        return Ok(());
    }
    let why = format!("{} is the only admin; make somebody else admin first", without.name);
    Err(WriteError::Conflict(why).into())
}

/// Refuses what somebody does in a session that has ended in the meantime.
fn still_open(tx: &mut Tx<'_>, session: Option<i64>) -> Result<(), Fault> {
    let Some(session) = session else { return Ok(()) };
    let there: Option<i64> = sessions::table
        .find(session)
        .select(sessions::id)
        .first(&mut tx.journal.conn)
        .optional()?;
    there.ok_or_else(void)?;
    Ok(())
}

/// Ends a user's sessions; in the one that is kept nothing is proved any more.
pub(super) fn end_sessions(tx: &mut Tx<'_>, user_id: i64, keep: Option<i64>) -> Result<(), Fault> {
    let theirs = sessions::table.filter(sessions::user_id.eq(user_id));
    diesel::delete(theirs.filter(sessions::id.ne(keep.unwrap_or(0)))).execute(&mut tx.journal.conn)?;
    diesel::update(theirs)
        .set(sessions::proved_at.eq(None::<Timestamp>))
        .execute(&mut tx.journal.conn)?;
    Ok(())
}

/// The event of a change of a user, which seals the row.
pub(super) fn changed(
    tx: &mut Tx<'_>,
    by: &By,
    action: &str,
    message: String,
    details: serde_json::Value,
) -> Result<(), Fault> {
    tx.event(NewEvent {
        details: Some(details),
        seals: true,
        ..NewEvent::audit(by, Level::Info, action, message)
    })?;
    Ok(())
}

fn shown(grants: &Grants) -> String {
    let text = grants.to_string();
    if text.is_empty() { "none".to_owned() } else { text }
}
