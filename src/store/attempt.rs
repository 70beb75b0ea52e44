//! `login_attempts` and `known_places`: how often somebody failed to prove who they are, by account and by address, and
//! where each account has logged in from before. Survives a restart.

use diesel::prelude::*;

use super::error::Fault;
use super::schema::{known_places, login_attempts};
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
    /// The account, from wherever it is not known. Of one narrow one only the free failures count here, so that who is
    /// told to wait and tries on makes nobody else wait.
    pub account: Option<Account>,
    /// The address, for whichever account.
    pub address: Option<Counted>,
}

/// An account that somebody wants to be, over the network.
#[derive(Clone, Debug)]
pub struct Account {
    /// Its failures.
    pub failed: Counted,
    /// Its log-ins that went well, within an hour.
    pub opened: Counted,
    /// The name that was typed: of a user, or of nobody.
    pub name: String,
    /// The hash of where it is tried from. Where that user has logged in from there before, what others tried elsewhere
    /// does not count.
    pub place: String,
}

/// Failures older than this are forgotten.
const MEMORY: Span = Span::from_days(1);
/// The longest wait.
const LONGEST: Span = Span::from_secs(15 * 60);
/// The first wait.
const FIRST: Span = Span::from_secs(30);
/// The most rows; the oldest give way.
const MOST: i64 = 20_000;
/// A place from which an account was not used for so long is forgotten.
const PLACE_MEMORY: Span = Span::from_days(90);
/// The most places that are known of an account; the oldest give way.
const PLACES: i64 = 20;
/// How long log-ins that went well are counted together.
const WINDOW: Span = Span::from_secs(60 * 60);

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
            let user = match account {
                Some(account) => tx.journal.user(&account.name)?,
                None => None,
            };
            let failed = match (account, &user) {
                (Some(account), Some(user)) if is_known(tx, user.id, &account.place)? => None,
                (Some(account), _) => Some(&account.failed),
                (None, _) => None,
            };
            let mut rows = Vec::with_capacity(3);
            for one in [Some(narrow), failed, address.as_ref()].into_iter().flatten() {
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
                if tries_on && failed.is_some_and(|account| account.what == one.what) {
                    continue;
                }
                set(tx, &one.what, failures, tx.now)?;
                if failures == one.free {
                    // Whose account it is, is said only of one that is there: what was typed may be a password.
                    let of = user.as_ref().map(|user| user.name.as_str());
                    let of = of.filter(|_| address.as_ref().is_none_or(|address| address.what != one.what));
                    let whose = of.map(|name| format!(" as {name}")).unwrap_or_default();
                    locked(
                        tx,
                        &by,
                        of,
                        format!("too many failed log-ins{whose}: the next ones have to wait"),
                    )?;
                }
            }
            Ok(None)
        })
        .await
    }

    /// An attempt went well: who tried it from there begins anew, what was counted beside it is given back, and the
    /// place is known from now on. Where the account was logged in to too often within an hour, the time until which
    /// it has to wait is given.
    ///
    /// # Errors
    /// [`WriteError`].
    pub async fn attempt_went_well(&self, attempt: Attempt, by: By) -> Result<Option<Timestamp>, WriteError> {
        self.write(move |tx| {
            let Attempt {
                narrow,
                account,
                address,
            } = &attempt;
            let user = match account {
                Some(account) => tx.journal.user(&account.name)?,
                None => None,
            };
            let known = match (account, &user) {
                (Some(account), Some(user)) => is_known(tx, user.id, &account.place)?,
                _ => false,
            };
            let counted = row(tx, &narrow.what)?.map_or(0, |(failures, _)| failures.min(narrow.free));
            diesel::delete(login_attempts::table.find(&narrow.what)).execute(&mut tx.journal.conn)?;
            let failed = account.as_ref().filter(|_| !known).map(|account| &account.failed);
            for (one, back) in [(failed, counted), (address.as_ref(), 1)] {
                let Some(one) = one else { continue };
                let theirs = login_attempts::table.find(&one.what);
                diesel::update(theirs.filter(login_attempts::failures.ge(back)))
                    .set(login_attempts::failures.eq(login_attempts::failures - back))
                    .execute(&mut tx.journal.conn)?;
            }
            let (Some(account), Some(user)) = (account, user) else {
                return Ok(None);
            };
            remember(tx, user.id, &account.place)?;
            opened(tx, &account.opened, &user.name, &by)
        })
        .await
    }
}

/// Counts a log-in that went well; the time until which the account has to wait, where there were too many.
fn opened(tx: &mut Tx<'_>, counted: &Counted, name: &str, by: &By) -> Result<Option<Timestamp>, Fault> {
    let (count, since) = row(tx, &counted.what)?
        .filter(|(_, since)| *since <= tx.now && tx.now < since.plus(WINDOW))
        .unwrap_or((0, tx.now));
    if count >= counted.free {
        return Ok(Some(since.plus(WINDOW)));
    }
    set(tx, &counted.what, count + 1, since)?;
    if count + 1 == counted.free {
        let message = format!("too many log-ins of {name} within an hour: the next ones have to wait");
        locked(tx, by, Some(name), message)?;
    }
    Ok(None)
}

fn locked(tx: &mut Tx<'_>, by: &By, name: Option<&str>, message: String) -> Result<(), Fault> {
    tx.event(NewEvent {
        details: name.map(|name| serde_json::json!({ "user": name })),
        ..NewEvent::audit(by, Level::Warn, "session:locked", message)
    })?;
    Ok(())
}

fn set(tx: &mut Tx<'_>, what: &str, failures: i64, at: Timestamp) -> Result<(), Fault> {
    diesel::insert_into(login_attempts::table)
        .values((
            login_attempts::what.eq(what),
            login_attempts::failures.eq(failures),
            login_attempts::last_at.eq(at),
        ))
        .on_conflict(login_attempts::what)
        .do_update()
        .set((login_attempts::failures.eq(failures), login_attempts::last_at.eq(at)))
        .execute(&mut tx.journal.conn)?;
    Ok(())
}

/// Whether this user has logged in from there before.
fn is_known(tx: &mut Tx<'_>, user_id: i64, place: &str) -> Result<bool, Fault> {
    let last: Option<Timestamp> = known_places::table
        .find((user_id, place))
        .select(known_places::last_at)
        .get_result(&mut tx.journal.conn)
        .optional()?;
    Ok(last.is_some_and(|last| last.plus(PLACE_MEMORY) > tx.now))
}

fn remember(tx: &mut Tx<'_>, user_id: i64, place: &str) -> Result<(), Fault> {
    diesel::insert_into(known_places::table)
        .values((
            known_places::user_id.eq(user_id),
            known_places::place.eq(place),
            known_places::last_at.eq(tx.now),
        ))
        .on_conflict((known_places::user_id, known_places::place))
        .do_update()
        .set(known_places::last_at.eq(tx.now))
        .execute(&mut tx.journal.conn)?;
    let over: Option<Timestamp> = known_places::table
        .filter(known_places::user_id.eq(user_id))
        .order(known_places::last_at.desc())
        .offset(PLACES)
        .limit(1)
        .select(known_places::last_at)
        .get_result(&mut tx.journal.conn)
        .optional()?;
    let old = tx.now.minus(PLACE_MEMORY);
    let theirs = known_places::table.filter(known_places::user_id.eq(user_id));
    diesel::delete(theirs.filter(known_places::last_at.le(over.map_or(old, |over| over.max(old)))))
        .execute(&mut tx.journal.conn)?;
    Ok(())
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
