//! When a place outside takes nothing, takes again, or never gets something: its cursor and an event, together.

use diesel::prelude::*;
use serde_json::{Value, json};

use super::cursor::{Row, load, update};
use super::schema::cursors;
use super::{NewEvent, Store, WriteError};
use crate::domain::{Category, DeliveryKind, Level, MESSAGE_LIMIT, Span, Timestamp, bounded};

/// Outages of one place are announced at least this far apart: one that comes and goes fills no log. Those between
/// are shown, but are no events.
const APART: Span = Span::from_secs(600);

impl Store {
    /// A place takes nothing. An event where that is new, and the last such event is a while ago.
    ///
    /// # Errors
    /// [`WriteError`].
    pub async fn delivery_failed(&self, kind: DeliveryKind, name: &str, why: &str) -> Result<(), WriteError> {
        let (name, why) = (name.to_owned(), bounded(why, MESSAGE_LIMIT));
        self.write(move |tx| {
            let Some(row) = load(tx, kind, &name)? else {
                return Ok(());
            };
            // A clock that was set back silences nothing.
            let lately = |at: Timestamp| at <= tx.now && tx.now.since(at) < APART;
            let announce = !row.announced && !row.announced_at.is_some_and(lately);
            let now = (
                cursors::failing_since.eq(row.failing_since.unwrap_or(tx.now)),
                cursors::failed_from.eq(row.failed_from.unwrap_or(row.position)),
                cursors::failed_at.eq(tx.now),
                cursors::failure.eq(&why),
            );
            update(tx, kind, &name, now)?;
            if announce {
                let said = (cursors::announced.eq(true), cursors::announced_at.eq(tx.now));
                update(tx, kind, &name, said)?;
                let rest = match kind {
                    DeliveryKind::Notify => "Each notification is tried again for a while, then left out",
                    DeliveryKind::Forward | DeliveryKind::Witness => "It is tried again until it does",
                };
                let message = format!("{} takes nothing: {why}. {rest}", place(&row));
                tx.event(event(&row, Level::Error, "failing", message, json!({ "problem": why })))?;
            }
            Ok(())
        })
        .await
    }

    /// A place that took nothing has everything up to here. An event where the outage was one.
    ///
    /// # Errors
    /// [`WriteError`].
    pub async fn delivery_back(&self, kind: DeliveryKind, name: &str, position: i64) -> Result<(), WriteError> {
        let name = name.to_owned();
        self.write(move |tx| {
            let Some(row) = load(tx, kind, &name)? else {
                return Ok(());
            };
            let now = (
                cursors::position.eq(position),
                cursors::succeeded_at.eq(tx.now),
                cursors::failing_since.eq(None::<Timestamp>),
                cursors::failed_from.eq(None::<i64>),
                cursors::announced.eq(false),
            );
            update(tx, kind, &name, now)?;
            if row.announced {
                let caught_up = position - row.failed_from.unwrap_or(position);
                let what = match kind {
                    DeliveryKind::Forward => format!(": {caught_up} events caught up"),
                    DeliveryKind::Witness => format!(": {caught_up} checkpoints caught up"),
                    DeliveryKind::Notify => String::new(),
                };
                let after = row
                    .failing_since
                    .map(|since| tx.now.since(since).human())
                    .unwrap_or_default();
                let message = format!("{} takes messages again, after {after}{what}", place(&row));
                let details = json!({ "caught_up": caught_up });
                tx.event(event(&row, Level::Success, "back", message, details))?;
            }
            Ok(())
        })
        .await
    }

    /// These events (first and last of each gap) were swept before a place had them; up to `up_to` all gaps are named.
    /// An event, once for each gap.
    ///
    /// # Errors
    /// [`WriteError`].
    pub async fn delivery_gap(
        &self,
        kind: DeliveryKind,
        name: &str,
        gaps: Vec<(i64, i64)>,
        up_to: i64,
    ) -> Result<(), WriteError> {
        let name = name.to_owned();
        self.write(move |tx| {
            let Some(row) = load(tx, kind, &name)? else {
                return Ok(());
            };
            let new: Vec<_> = gaps.iter().copied().filter(|(_, last)| *last > row.gap_to).collect();
            if new.is_empty() {
                return Ok(());
            }
            update(tx, kind, &name, cursors::gap_to.eq(up_to))?;
            let lost: i64 = new.iter().map(|(first, last)| last - first + 1).sum();
            let message = format!(
                "{lost} events were swept before {} had them: {}",
                place(&row),
                in_words(&new)
            );
            tx.event(event(
                &row,
                Level::Error,
                "gap",
                message,
                json!({ "gaps": new, "events": lost }),
            ))?;
            Ok(())
        })
        .await
    }

    /// A place is not told what waited for it up to here, after many tries; `message` names it.
    ///
    /// # Errors
    /// [`WriteError`].
    pub async fn delivery_given_up(
        &self,
        kind: DeliveryKind,
        name: &str,
        position: i64,
        message: String,
        details: Value,
    ) -> Result<(), WriteError> {
        let name = name.to_owned();
        self.write(move |tx| {
            let Some(row) = load(tx, kind, &name)? else {
                return Ok(());
            };
            update(tx, kind, &name, cursors::position.eq(position))?;
            let message = format!("{} {message}", place(&row));
            tx.event(event(&row, Level::Error, "lost", message, details.clone()))?;
            Ok(())
        })
        .await
    }
}

/// "The log server “siem”".
fn place(row: &Row) -> String {
    let what = match row.kind {
        DeliveryKind::Forward => "The forwarding",
        DeliveryKind::Witness => "The witness",
        DeliveryKind::Notify => "The notification",
    };
    format!("{what} “{}” ({})", row.name, row.target)
}

fn event(row: &Row, level: Level, what: &str, message: String, mut details: Value) -> NewEvent {
    details["name"] = json!(row.name);
    details["target"] = json!(row.target);
    NewEvent {
        category: if level == Level::Error {
            Category::Error
        } else {
            Category::System
        },
        details: Some(details),
        ..NewEvent::system(level, format!("{}:{what}", row.kind), message)
    }
}

/// "3 to 17, 20".
fn in_words(gaps: &[(i64, i64)]) -> String {
    const NAMED: usize = 20;
    let mut words: Vec<String> = gaps
        .iter()
        .take(NAMED)
        .map(|(first, last)| {
            if first == last {
                first.to_string()
            } else {
                format!("{first} to {last}")
            }
        })
        .collect();
    if gaps.len() > NAMED {
        words.push(format!("and {} gaps more", gaps.len() - NAMED));
    }
    words.join(", ")
}
