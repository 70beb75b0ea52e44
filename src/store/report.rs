//! `reports`, `report_contents`, `reviews`: audit reports, what was printed, and who has looked at it.
//!
//! A report is begun (it has a number, and the newest event that it knows) and finished: its digest becomes an event, and
//! a checkpoint covers that event, in one transaction. What is cut off in between keeps its number.

use std::sync::Arc;

use diesel::prelude::*;

use super::column::MaybeJson;
use super::error::Fault;
use super::page::{Cut, page};
use super::schema::{report_contents, reports, reviews};
use super::tx::Tx;
use super::{By, Cursor, Journal, Keyed, NewEvent, Page, ReadError, Store, WriteError};
use crate::domain::{
    Actor, CheckpointKind, Digest, Level, Paper, ReportAsk, ReportNumber, ReportStamp, Timestamp, bounded,
};

/// A report as it stands in the journal, without what was printed.
#[derive(Clone, PartialEq, Debug, Queryable, Selectable)]
#[diesel(table_name = reports, check_for_backend(diesel::sqlite::Sqlite))]
pub struct ReportRow {
    /// Which report of this dashboard it is, from 1.
    pub id: i64,
    /// What it is called.
    pub number: ReportNumber,
    /// When it was begun.
    pub made_at: Timestamp,
    /// Who asked for it.
    pub made_by: Actor,
    /// Where they asked from.
    pub address: Option<String>,
    /// What it was asked for.
    pub parameters: ReportAsk,
    /// What it is printed on.
    pub paper: Paper,
    /// The newest event that it knows.
    pub covers: i64,
    /// What it counted, as JSON; none while it is not whole.
    #[diesel(deserialize_as = MaybeJson)]
    pub summary: Option<serde_json::Value>,
    /// The SHA-256 of what it says.
    pub digest: Option<Digest>,
    /// How many bytes that are.
    pub content_bytes: Option<i64>,
    /// The event that says that it was made.
    pub event_id: Option<i64>,
    /// Its stamp, as it is printed.
    pub stamp: Option<String>,
    /// The checkpoint that was made with it.
    pub checkpoint_id: Option<i64>,
}

impl Keyed for ReportRow {
    type Id = i64;

    fn key(&self) -> i64 {
        self.id
    }
}

/// That somebody has looked at a report.
#[derive(Clone, PartialEq, Eq, Debug, Queryable, Selectable)]
#[diesel(table_name = reviews, check_for_backend(diesel::sqlite::Sqlite))]
pub struct ReviewRow {
    /// Its number.
    pub id: i64,
    /// The report, by its serial.
    pub report_id: i64,
    /// Up to which event they have looked.
    pub up_to: i64,
    /// Who.
    pub reviewed_by: Actor,
    /// When.
    pub reviewed_at: Timestamp,
    /// In their words.
    pub note: Option<String>,
}

/// What makes a begun report whole.
#[derive(Clone, Debug)]
pub struct ReportDone {
    /// What it says, compressed with gzip.
    pub gzip: Arc<[u8]>,
    /// The length of that before.
    pub bytes: i64,
    /// The SHA-256 of that before.
    pub digest: Digest,
    /// What it counted: a JSON object.
    pub summary: serde_json::Value,
    /// The first event of its range, whatever the filters.
    pub first_event: Option<i64>,
    /// The last one.
    pub last_event: Option<i64>,
    /// How many there were.
    pub events: i64,
}

impl Journal {
    /// The report of this number.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn report(&mut self, number: ReportNumber) -> Result<Option<ReportRow>, ReadError> {
        Ok(reports::table
            .filter(reports::number.eq(number))
            .select(ReportRow::as_select())
            .get_result(&mut self.conn)
            .optional()?)
    }

    /// What a report says, compressed with gzip; none where its time is up, or it never became whole.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn report_content(&mut self, id: i64) -> Result<Option<Vec<u8>>, ReadError> {
        Ok(report_contents::table
            .find(id)
            .select(report_contents::gzip)
            .get_result(&mut self.conn)
            .optional()?)
    }

    /// The reports that were begun, newest first.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn reports(&mut self, cursor: Option<Cursor<i64>>, limit: i64) -> Result<Page<ReportRow>, ReadError> {
        page(cursor, limit, |cut, limit| {
            let query = reports::table.select(ReportRow::as_select()).limit(limit).into_boxed();
            let query = match cut {
                Cut::Newest => query.order(reports::id.desc()),
                Cut::Below(id) => query.filter(reports::id.lt(id)).order(reports::id.desc()),
                Cut::Above(id) => query.filter(reports::id.gt(id)).order(reports::id.asc()),
            };
            Ok(query.load(&mut self.conn)?)
        })
    }

    /// Who has looked at a report, in the order in which they did.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn reviews_of(&mut self, report_id: i64) -> Result<Vec<ReviewRow>, ReadError> {
        Ok(reviews::table
            .filter(reviews::report_id.eq(report_id))
            .order(reviews::id.asc())
            .select(ReviewRow::as_select())
            .load(&mut self.conn)?)
    }

    /// The last reviews, newest first, each with number and parameters of its report.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn last_reviews(&mut self, limit: i64) -> Result<Vec<(ReviewRow, ReportNumber, ReportAsk)>, ReadError> {
        Ok(reviews::table
            .inner_join(reports::table)
            .order(reviews::id.desc())
            .limit(limit)
            .select((ReviewRow::as_select(), reports::number, reports::parameters))
            .load(&mut self.conn)?)
    }
}

impl Store {
    /// Gives a report its number, and notes that it knows the events up to `covers`.
    ///
    /// # Errors
    /// [`WriteError`].
    pub async fn begin_report(&self, ask: ReportAsk, covers: i64, by: By) -> Result<ReportRow, WriteError> {
        self.write(move |tx| {
            let conn = &mut tx.journal.conn;
            // Rows are never deleted and there is one writer, so the largest id is the last one given.
            let last: Option<i64> = reports::table.select(diesel::dsl::max(reports::id)).get_result(conn)?;
            let id = last.unwrap_or(0) + 1;
            Ok(diesel::insert_into(reports::table)
                .values((
                    reports::id.eq(id),
                    reports::number.eq(ReportNumber::new(tx.now, id)),
                    reports::made_at.eq(tx.now),
                    reports::made_by.eq(&by.actor),
                    reports::address.eq(&by.address),
                    reports::parameters.eq(&ask),
                    reports::paper.eq(ask.paper),
                    reports::covers.eq(covers),
                ))
                .returning(ReportRow::as_returning())
                .get_result(conn)?)
        })
        .await
    }

    /// Makes a begun report whole: what it says is kept, an event says that it was made, with its digest, and a
    /// checkpoint covers that event.
    ///
    /// # Errors
    /// [`WriteError::NotFound`]; [`WriteError::Conflict`] where it is whole.
    pub async fn finish_report(&self, id: i64, done: ReportDone, by: By) -> Result<ReportRow, WriteError> {
        let key = self.inner.key.clone();
        self.write(move |tx| {
            let row: Option<ReportRow> = reports::table
                .find(id)
                .select(ReportRow::as_select())
                .get_result(&mut tx.journal.conn)
                .optional()?;
            let row = row.ok_or_else(|| WriteError::NotFound("such report".to_owned()))?;
            if row.digest.is_some() {
                return Err(WriteError::Conflict(format!("{} is whole", row.number)).into());
            }
            let ask = &row.parameters;
            let message = format!(
                "{} made the audit report {} of {} to {}",
                by.actor.name(),
                row.number,
                minute(ask.since),
                minute(ask.until),
            );
            let stamp = ReportStamp {
                number: row.number,
                made_at: row.made_at,
                since: ask.since,
                until: ask.until,
                first_event: done.first_event,
                last_event: done.last_event,
                events: done.events,
                covers: row.covers,
                link: tx.journal.link_of(row.covers)?.map(|link| link.to_string()),
                content: done.digest.clone(),
                checkpoint: None,
                key: None,
            };
            // First the row, but for the checkpoint: the event carries it, and the checkpoint covers the event.
            diesel::update(reports::table.find(id))
                .set((
                    reports::stamp.eq(stamp.to_string()),
                    reports::summary.eq(done.summary.to_string()),
                    reports::digest.eq(&done.digest),
                    reports::content_bytes.eq(done.bytes),
                    reports::event_id.eq(tx.journal.head()?.event_id + 1),
                ))
                .execute(&mut tx.journal.conn)?;
            tx.event(NewEvent {
                details: Some(serde_json::json!({
                    "number": row.number.to_string(),
                    "digest": done.digest,
                    "covers": row.covers,
                    "parameters": ask,
                    "counted": done.summary,
                })),
                seals: true,
                ..NewEvent::audit(&by, Level::Info, "report", message)
            })?;
            diesel::insert_into(report_contents::table)
                .values((
                    report_contents::report_id.eq(id),
                    report_contents::made_at.eq(row.made_at),
                    report_contents::gzip.eq(&*done.gzip),
                ))
                .execute(&mut tx.journal.conn)?;
            let checkpoint = tx.checkpoint(&key, CheckpointKind::Report, None)?;
            let stamp = ReportStamp {
                checkpoint: Some(checkpoint.line()),
                key: Some(checkpoint.key.fingerprint().to_string()),
                ..stamp
            };
            Ok(diesel::update(reports::table.find(id))
                .set((
                    reports::stamp.eq(stamp.to_string()),
                    reports::checkpoint_id.eq(checkpoint.id),
                ))
                .returning(ReportRow::as_returning())
                .get_result(&mut tx.journal.conn)?)
        })
        .await
    }

    /// Notes that somebody has looked at a report.
    ///
    /// # Errors
    /// [`WriteError::NotFound`]; [`WriteError::Conflict`] where it is not whole, they made it, or they said so before.
    pub async fn review_report(
        &self,
        number: ReportNumber,
        note: Option<String>,
        by: By,
    ) -> Result<ReviewRow, WriteError> {
        self.write(move |tx| {
            let row = tx.journal.report(number)?;
            let row = row.ok_or_else(|| WriteError::NotFound(format!("report {number}")))?;
            if row.digest.is_none() {
                return Err(WriteError::Conflict(format!("{number} is not whole; make another one")).into());
            }
            if row.made_by == by.actor {
                let why = format!("you made {number}; somebody else has to review it");
                return Err(WriteError::Conflict(why).into());
            }
            if tx
                .journal
                .reviews_of(row.id)?
                .iter()
                .any(|seen| seen.reviewed_by == by.actor)
            {
                return Err(WriteError::Conflict(format!("you have marked {number} as reviewed before")).into());
            }
            let note = note.as_ref().map(|note| bounded(note, 1_000));
            let message = format!(
                "{} reviewed the audit report {number}, up to event {}",
                by.actor.name(),
                row.covers
            );
            let review = diesel::insert_into(reviews::table)
                .values((
                    reviews::report_id.eq(row.id),
                    reviews::up_to.eq(row.covers),
                    reviews::reviewed_by.eq(&by.actor),
                    reviews::reviewed_at.eq(tx.now),
                    reviews::note.eq(&note),
                ))
                .returning(ReviewRow::as_returning())
                .get_result::<ReviewRow>(&mut tx.journal.conn)?;
            tx.event(NewEvent {
                details: Some(serde_json::json!({
                    "number": number.to_string(), "digest": row.digest, "up_to": row.covers, "note": note, "review": review.id,
                })),
                seals: true,
                ..NewEvent::audit(&by, Level::Info, "report:review", message)
            })?;
            Ok(review)
        })
        .await
    }

    /// Removes what reports said that were made before this time; numbers, digests and stamps stay. An event if any went.
    ///
    /// # Errors
    /// [`WriteError`].
    pub async fn sweep_reports(&self, before: Timestamp) -> Result<i64, WriteError> {
        self.write(move |tx| remove_contents(tx, before)).await
    }
}

fn remove_contents(tx: &mut Tx<'_>, before: Timestamp) -> Result<i64, Fault> {
    let old = report_contents::table.filter(report_contents::made_at.lt(before));
    let gone = diesel::delete(old).execute(&mut tx.journal.conn)?;
    let gone = i64::try_from(gone).unwrap_or(i64::MAX);
    if gone > 0 {
        let message = format!("Removed by age: what {gone} audit reports said; their numbers and digests stay");
        tx.event(NewEvent {
            details: Some(serde_json::json!({ "reports": gone, "reports_before": before })),
            ..NewEvent::system(Level::Info, "sweep", message)
        })?;
    }
    Ok(gone)
}

/// `2026-11-23 14:02 UTC`.
fn minute(time: Timestamp) -> String {
    let text = time.to_string();
    format!("{} UTC", text.get(..16).unwrap_or(&text))
}
