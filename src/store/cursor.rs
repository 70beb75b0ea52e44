//! `cursors`: how far each place outside has got, and how it does. A cursor moves only after its place has what is
//! before it, so a restart sends again what may not have arrived, and never leaves anything out. Moving one is no
//! event and raises no version; what a place does not take, or never gets, is (`outage`).

use diesel::prelude::*;
use serde::Serialize;

use super::error::Fault;
use super::schema::{cursors, event_log};
use super::tx::Tx;
use super::{Journal, ReadError, Store, WriteError};
use crate::domain::{DeliveryKind, Timestamp};

/// A place outside, and how far it has got.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, utoipa::ToSchema)]
pub struct Delivery {
    /// What it gets.
    pub kind: DeliveryKind,
    /// Its name in the configuration.
    pub name: String,
    /// Where it is, without secrets.
    pub target: String,
    /// Whether it is in today's configuration; what is not keeps its cursor.
    pub active: bool,
    /// The last event that it has, or that is not for it; of a witness, the last checkpoint.
    pub cursor: i64,
    /// How many there are after that.
    pub behind: i64,
    /// When something last arrived there.
    pub succeeded_at: Option<Timestamp>,
    /// Since when it takes nothing; none where it does.
    pub failing_since: Option<Timestamp>,
    /// When it last took nothing.
    pub failed_at: Option<Timestamp>,
    /// Why, the last time.
    pub failure: Option<String>,
}

/// A place as the configuration has it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewDelivery {
    /// What it gets.
    pub kind: DeliveryKind,
    /// Its name.
    pub name: String,
    /// Where it is, without secrets.
    pub target: String,
    /// Where it begins if it is new: with everything that there is, else with what comes.
    pub from_start: bool,
}

#[derive(Clone, Queryable, Selectable)]
#[diesel(table_name = cursors, check_for_backend(diesel::sqlite::Sqlite))]
pub(super) struct Row {
    pub(super) kind: DeliveryKind,
    pub(super) name: String,
    pub(super) target: String,
    pub(super) active: bool,
    pub(super) position: i64,
    pub(super) gap_to: i64,
    pub(super) succeeded_at: Option<Timestamp>,
    pub(super) failing_since: Option<Timestamp>,
    pub(super) failed_from: Option<i64>,
    pub(super) failed_at: Option<Timestamp>,
    pub(super) failure: Option<String>,
    pub(super) announced: bool,
    pub(super) announced_at: Option<Timestamp>,
}

impl Journal {
    /// Every place outside that has a cursor, those of today's configuration first, by kind and name.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn deliveries(&mut self) -> Result<Vec<Delivery>, ReadError> {
        let mut rows: Vec<Row> = cursors::table
            .order((cursors::kind.asc(), cursors::name.asc()))
            .select(Row::as_select())
            .load(&mut self.conn)?;
        rows.sort_by_key(|row| !row.active);
        let mut all = Vec::with_capacity(rows.len());
        for row in rows {
            let head = self.delivery_head(row.kind)?;
            all.push(Delivery {
                behind: (head - row.position).max(0),
                kind: row.kind,
                name: row.name,
                target: row.target,
                active: row.active,
                cursor: row.position,
                succeeded_at: row.succeeded_at,
                failing_since: row.failing_since,
                failed_at: row.failed_at,
                failure: row.failure,
            });
        }
        Ok(all)
    }

    /// The last id of what places of this kind get; 0 where there is none.
    fn delivery_head(&mut self, kind: DeliveryKind) -> Result<i64, ReadError> {
        match kind {
            DeliveryKind::Forward | DeliveryKind::Notify => {
                let last: Option<i64> = event_log::table
                    .select(event_log::id)
                    .order(event_log::id.desc())
                    .first(&mut self.conn)
                    .optional()?;
                Ok(last.unwrap_or(0))
            }
            DeliveryKind::Witness => Ok(self.newest_checkpoint()?.map_or(0, |last| last.id)),
        }
    }

    fn first_event(&mut self) -> Result<Option<i64>, ReadError> {
        Ok(event_log::table
            .select(event_log::id)
            .order(event_log::id.asc())
            .first(&mut self.conn)
            .optional()?)
    }
}

impl Store {
    /// Takes today's configuration: new places get a cursor, others go on from theirs, those that are gone rest.
    /// Gives the cursors in the order of what was given.
    ///
    /// # Errors
    /// [`WriteError`].
    pub async fn register_deliveries(&self, places: Vec<NewDelivery>) -> Result<Vec<Delivery>, WriteError> {
        let wanted = places.clone();
        self.write(move |tx| {
            let known: Vec<Row> = cursors::table.select(Row::as_select()).load(&mut tx.journal.conn)?;
            for row in known.iter().filter(|row| row.active) {
                if !places
                    .iter()
                    .any(|place| (place.kind, &place.name) == (row.kind, &row.name))
                {
                    update(tx, row.kind, &row.name, cursors::active.eq(false))?;
                }
            }
            for place in &places {
                let row = known
                    .iter()
                    .find(|row| (place.kind, &place.name) == (row.kind, &row.name));
                match row {
                    Some(row) if row.active && row.target == place.target => {}
                    Some(_) => {
                        let now = (cursors::active.eq(true), cursors::target.eq(&place.target));
                        update(tx, place.kind, &place.name, now)?;
                    }
                    None => add(tx, place)?,
                }
            }
            Ok(())
        })
        .await?;
        let all = self.reader().read(Journal::deliveries).await;
        let all = all.map_err(|why| WriteError::Database(why.to_string()))?;
        let of = |place: &NewDelivery| {
            let is = |row: &&Delivery| (row.kind, &row.name) == (place.kind, &place.name);
            all.iter().find(is).cloned()
        };
        Ok(wanted.iter().filter_map(of).collect())
    }

    /// A place has everything up to here.
    ///
    /// # Errors
    /// [`WriteError`].
    pub async fn delivered(&self, kind: DeliveryKind, name: &str, position: i64) -> Result<(), WriteError> {
        let name = name.to_owned();
        self.write(move |tx| {
            let to = (cursors::position.eq(position), cursors::succeeded_at.eq(tx.now));
            update(tx, kind, &name, to)
        })
        .await
    }

    /// Everything up to here is not for this place.
    ///
    /// # Errors
    /// [`WriteError`].
    pub async fn passed_over(&self, kind: DeliveryKind, name: &str, position: i64) -> Result<(), WriteError> {
        let name = name.to_owned();
        self.write(move |tx| update(tx, kind, &name, cursors::position.eq(position)))
            .await
    }
}

pub(super) fn load(tx: &mut Tx<'_>, kind: DeliveryKind, name: &str) -> Result<Option<Row>, Fault> {
    Ok(cursors::table
        .find((kind, name))
        .select(Row::as_select())
        .get_result(&mut tx.journal.conn)
        .optional()?)
}

pub(super) fn update<C>(tx: &mut Tx<'_>, kind: DeliveryKind, name: &str, set: C) -> Result<(), Fault>
where
    C: diesel::AsChangeset<Target = cursors::table>,
    C::Changeset: diesel::query_builder::QueryFragment<diesel::sqlite::Sqlite>,
{
    diesel::update(cursors::table)
        .filter(cursors::kind.eq(kind))
        .filter(cursors::name.eq(name))
        .set(set)
        .execute(&mut tx.journal.conn)?;
    Ok(())
}

fn add(tx: &mut Tx<'_>, place: &NewDelivery) -> Result<(), Fault> {
    let head = tx.journal.delivery_head(place.kind)?;
    let position = match place.kind {
        DeliveryKind::Forward if place.from_start => tx.journal.first_event()?.map_or(0, |first| first - 1),
        DeliveryKind::Forward | DeliveryKind::Notify => head,
        // The newest one, so that there is a witness from now on.
        DeliveryKind::Witness => (head - 1).max(0),
    };
    diesel::insert_into(cursors::table)
        .values((
            cursors::kind.eq(place.kind),
            cursors::name.eq(&place.name),
            cursors::target.eq(&place.target),
            cursors::position.eq(position),
            cursors::gap_to.eq(position),
        ))
        .execute(&mut tx.journal.conn)?;
    Ok(())
}
