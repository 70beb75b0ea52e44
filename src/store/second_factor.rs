//! The second factor of users, and `recovery_codes`, which take its place once each.

use diesel::prelude::*;

use super::schema::{recovery_codes, users};
use super::user::{changed, end_sessions, let_in};
use super::{By, Journal, NewEvent, Proved, ReadError, Store, UserRow, WriteError};
use crate::domain::Level;

impl Journal {
    /// How many recovery codes a user has left.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn recovery_codes_left(&mut self, user_id: i64) -> Result<usize, ReadError> {
        let left: Vec<i64> = recovery_codes::table
            .filter(recovery_codes::user_id.eq(user_id))
            .select(recovery_codes::user_id)
            .load(&mut self.conn)?;
        Ok(left.len())
    }
}

impl Store {
    /// Gives a user a second factor, whose code for `step` was shown, with new recovery codes; or takes it away. Their
    /// sessions end, all but the one with the number `keep`. Who changes their `own` must still be let in.
    ///
    /// # Errors
    /// [`WriteError::NotFound`]; [`WriteError::Conflict`] where `own` is void by now, or `keep` has ended.
    pub async fn set_totp(
        &self,
        name: String,
        secret: Option<(String, i64)>,
        codes: Vec<String>,
        keep: Option<i64>,
        own: Option<Proved>,
        by: By,
    ) -> Result<UserRow, WriteError> {
        self.write(move |tx| {
            let before = let_in(tx, &name, own, keep)?;
            let (text, step) = secret.clone().unzip();
            let row = diesel::update(users::table.find(before.id))
                .set((
                    users::totp_secret.eq(text),
                    users::totp_step.eq(step.unwrap_or(0)),
                    users::era.eq(users::era + 1),
                ))
                .returning(UserRow::as_returning())
                .get_result(&mut tx.journal.conn)?;
            end_sessions(tx, row.id, keep)?;
            diesel::delete(recovery_codes::table.filter(recovery_codes::user_id.eq(row.id)))
                .execute(&mut tx.journal.conn)?;
            for hash in &codes {
                diesel::insert_into(recovery_codes::table)
                    .values((recovery_codes::hash.eq(hash), recovery_codes::user_id.eq(row.id)))
                    .execute(&mut tx.journal.conn)?;
            }
            let did = if secret.is_some() { "set up" } else { "took away" };
            let message = format!("{} {did} the second factor of {name}", by.actor.name());
            let details = serde_json::json!({
                "user": name, "before": before.totp_secret.is_some(), "after": secret.is_some(),
            });
            changed(tx, &by, "user:totp", message, details)?;
            Ok(row)
        })
        .await
    }

    /// Uses up the code of a time step: false where that, or a later one, was used before.
    ///
    /// # Errors
    /// [`WriteError`].
    pub async fn use_totp_step(&self, user_id: i64, step: i64) -> Result<bool, WriteError> {
        self.write(move |tx| {
            let fresh = users::table
                .filter(users::id.eq(user_id))
                .filter(users::totp_step.lt(step));
            let used = diesel::update(fresh)
                .set(users::totp_step.eq(step))
                .execute(&mut tx.journal.conn)?;
            Ok(used == 1)
        })
        .await
    }

    /// Uses up a recovery code: false where the user has none of this hash.
    ///
    /// # Errors
    /// [`WriteError`].
    pub async fn use_recovery_code(&self, user: &UserRow, hash: String, by: By) -> Result<bool, WriteError> {
        let (id, name) = (user.id, user.name.clone());
        self.write(move |tx| {
            let code = recovery_codes::table
                .filter(recovery_codes::hash.eq(&hash))
                .filter(recovery_codes::user_id.eq(id));
            let used = diesel::delete(code).execute(&mut tx.journal.conn)? == 1;
            if used {
                let message = format!("{name} used a recovery code");
                tx.event(NewEvent::audit(&by, Level::Warn, "user:recovery-code", message))?;
            }
            Ok(used)
        })
        .await
    }
}
