//! `login_attempts`: how often somebody failed to prove who they are, by account and by address. Survives a restart.

use diesel::prelude::*;

use super::error::Fault;
use super::schema::login_attempts;
use super::tx::Tx;
use super::{By, NewEvent, Store, WriteError};
use crate::domain::{Level, Span, Timestamp};

/// What is counted: a hash of whom or of where, and how many failures it bears.
#[derive(Clone, Debug)]
pub struct Counted {
    /// The hash.
    pub what: String,
    /// So many failures are free; each further one doubles the wait.
    pub free: i64,
}

/// What one attempt is counted against.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// Who tries it from where: begins anew once it went well.
    pub narrow: Counted,
    /// The account, from wherever. Of one narrow one only the free failures count here, so that who is told to wait
    /// and tries on makes nobody else wait.
    pub account: Option<Counted>,
    /// The address, for whichever account.
    pub address: Option<Counted>,
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
    pub async fn begin_attempt(&self, attempt: Attempt, by: By) -> Result<Option<Timestamp>, WriteError> {
        self.write(move |tx| {
            tidy(tx)?;
            let Attempt {
                narrow,
                account,
                address,
            } = &attempt;
            let mut rows = Vec::with_capacity(3);
            for one in [Some(narrow), account.as_ref(), address.as_ref()].into_iter().flatten() {
                let (failures, last) = row(tx, &one.what)?.unwrap_or((0, tx.now));
                // A clock that was set back must not lengthen a wait.
                let until = last.min(tx.now).plus(wait(failures, one.free));
                if until > tx.now {
                    return Ok(Some(until));
                }
                rows.push((one, failures + 1));
            }
            let tries_on = rows.first().is_some_and(|(one, failures)| *failures > one.free);
            for (one, failures) in rows {
                if tries_on && account.as_ref().is_some_and(|account| account.what == one.what) {
                    continue;
                }
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

    /// An attempt went well: who tried it from there begins anew, and what was counted beside it is given back.
    ///
    /// # Errors
    /// [`WriteError`].
    pub async fn attempt_went_well(&self, attempt: Attempt) -> Result<(), WriteError> {
        self.write(move |tx| {
            let Attempt {
                narrow,
                account,
                address,
            } = &attempt;
            let counted = row(tx, &narrow.what)?.map_or(0, |(failures, _)| failures.min(narrow.free));
            diesel::delete(login_attempts::table.find(&narrow.what)).execute(&mut tx.journal.conn)?;
            for (one, back) in [(account, counted), (address, 1)] {
                let Some(one) = one else { continue };
                let theirs = login_attempts::table.find(&one.what);
                diesel::update(theirs.filter(login_attempts::failures.ge(back)))
                    .set(login_attempts::failures.eq(login_attempts::failures - back))
                    .execute(&mut tx.journal.conn)?;
            }
            Ok(())
        })
        .await
    }
}

/// Failures so far, and when the last one was.
fn row(tx: &mut Tx<'_>, what: &str) -> Result<Option<(i64, Timestamp)>, Fault> {
    Ok(login_attempts::table
        .find(what)
        .select((login_attempts::failures, login_attempts::last_at))
        .first(&mut tx.journal.conn)
        .optional()?)
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
