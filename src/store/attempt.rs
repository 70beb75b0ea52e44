//! `login_attempts`: how often somebody failed to prove who they are, by account and by address. Survives a restart.

use diesel::prelude::*;

use super::error::Fault;
use super::schema::login_attempts;
use super::tx::Tx;
use super::{By, NewEvent, Store, WriteError};
use crate::domain::{Level, Span, Timestamp};

/// What is counted: a hash of an account's name or of an address, and how many failures it bears.
#[derive(Clone, Debug)]
pub struct Counted {
    /// The hash.
    pub what: String,
    /// So many failures are free; each further one doubles the wait.
    pub free: i64,
}

/// Failures older than this are forgotten.
const MEMORY: Span = Span::from_days(1);
/// The longest wait.
const LONGEST: Span = Span::from_secs(15 * 60);
/// The first wait.
const FIRST: Span = Span::from_secs(30);
/// The most rows; the oldest give way.
const MOST: i64 = 20_000;

impl Store {
    /// Counts an attempt against all of these before it is made, so that many at once count too. Where one of them has
    /// to wait, nothing is counted and the time until which is given.
    ///
    /// # Errors
    /// [`WriteError`].
    pub async fn begin_attempt(&self, counted: Vec<Counted>, by: By) -> Result<Option<Timestamp>, WriteError> {
        self.write(move |tx| {
            tidy(tx)?;
            let mut rows = Vec::with_capacity(counted.len());
            for one in &counted {
                let row: Option<(i64, Timestamp)> = login_attempts::table
                    .find(&one.what)
                    .select((login_attempts::failures, login_attempts::last_at))
                    .first(&mut tx.journal.conn)
                    .optional()?;
                let (failures, last) = row.unwrap_or((0, tx.now));
                // A clock that was set back must not lengthen a wait.
                let until = last.min(tx.now).plus(wait(failures, one.free));
                if until > tx.now {
                    return Ok(Some(until));
                }
                rows.push((one, failures + 1));
            }
            for (one, failures) in rows {
                diesel::insert_into(login_attempts::table)
                    .values((
                        login_attempts::what.eq(&one.what),
                        login_attempts::failures.eq(failures),
                        login_attempts::last_at.eq(tx.now),
                    ))
                    .on_conflict(login_attempts::what)
                    .do_update()
                    .set((
                        login_attempts::failures.eq(failures),
                        login_attempts::last_at.eq(tx.now),
                    ))
                    .execute(&mut tx.journal.conn)?;
                if failures == one.free {
                    let message = "too many failed log-ins: the next ones have to wait";
                    tx.event(NewEvent::audit(&by, Level::Warn, "session:locked", message))?;
                }
            }
            Ok(None)
        })
        .await
    }

    /// An attempt went well: its account begins anew, and what was counted against the address is given back.
    ///
    /// # Errors
    /// [`WriteError`].
    pub async fn attempt_went_well(&self, account: String, address: String) -> Result<(), WriteError> {
        self.write(move |tx| {
            diesel::delete(login_attempts::table.find(&account)).execute(&mut tx.journal.conn)?;
            diesel::update(login_attempts::table.find(&address))
                .set(login_attempts::failures.eq(login_attempts::failures - 1))
                .execute(&mut tx.journal.conn)?;
            Ok(())
        })
        .await
    }
}

/// How long after the last of so many failures the next attempt has to wait.
fn wait(failures: i64, free: i64) -> Span {
    let beyond = failures - free;
    if beyond < 0 {
        return Span::ZERO;
    }
    let doubled = FIRST.as_secs().saturating_mul(1 << beyond.min(10));
    Span::from_secs(doubled.min(LONGEST.as_secs()))
}

fn tidy(tx: &mut Tx<'_>) -> Result<(), Fault> {
    let old = tx.now.minus(MEMORY);
    diesel::delete(login_attempts::table.filter(login_attempts::last_at.lt(old))).execute(&mut tx.journal.conn)?;
    let over: Option<Timestamp> = login_attempts::table
        .order(login_attempts::last_at.desc())
        .offset(MOST)
        .limit(1)
        .select(login_attempts::last_at)
        .first(&mut tx.journal.conn)
        .optional()?;
    if let Some(over) = over {
        diesel::delete(login_attempts::table.filter(login_attempts::last_at.le(over))).execute(&mut tx.journal.conn)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_quarter_of_an_hour() {
        let secs: Vec<_> = (3..14).map(|failures| wait(failures, 5).as_secs()).collect();
        assert_eq!(secs, [0, 0, 30, 60, 120, 240, 480, 900, 900, 900, 900]);
        assert_eq!(wait(i64::MAX, 5).as_secs(), 900);
    }
}
