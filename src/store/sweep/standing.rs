//! What a sweep left standing of what it might have taken, and what is missing that no sweep took.

use std::collections::BTreeSet;

use diesel::prelude::*;
use diesel::sql_types::{Nullable, Text};

use super::super::error::Fault;
use super::super::record::Of;
use super::super::schema::{event_log, sealed};
use super::super::tx::Tx;
use super::super::{Journal, ReadError, Store, WriteError};
use super::piece::OpenSweep;
use super::statement::{self, Sealing, Standing, UpTo};
use crate::domain::{CommandId, Digest, PipelineId, PublicKey, Timestamp};

/// The action of the event that says that something else changed the database.
pub(in crate::store) const TAMPERED: &str = "tampered";

/// Ids that are read at once.
const STEP: i64 = 1_000;

#[derive(QueryableByName)]
struct Id {
    #[diesel(sql_type = Nullable<Text>)]
    id: Option<String>,
}

impl Journal {
    /// The commands and pipelines that were made before a time.
    pub(super) fn standing_before(&mut self, time: Timestamp) -> Result<Standing, ReadError> {
        let commands = self.last_below(Of::Command, &CommandId::first_at(time).to_string())?;
        let pipelines = self.last_below(Of::Pipeline, &PipelineId::first_at(time).to_string())?;
        Ok(Standing {
            commands: self.up_to(Of::Command, commands, &BTreeSet::new())?,
            pipelines: self.up_to(Of::Pipeline, pipelines, &BTreeSet::new())?,
        })
    }

    /// What is there now of what a sweep left standing; what the sweep under way has taken counts as there.
    pub(in crate::store) fn still_standing(
        &mut self,
        stated: &Standing,
        open: Option<&OpenSweep>,
    ) -> Result<Standing, ReadError> {
        let none = BTreeSet::new();
        let commands = open.map_or(&none, |open| &open.commands);
        let pipelines = open.map_or(&none, |open| &open.pipelines);
        Ok(Standing {
            commands: self.up_to(Of::Command, stated.commands.last.clone(), commands)?,
            pipelines: self.up_to(Of::Pipeline, stated.pipelines.last.clone(), pipelines)?,
        })
    }

    fn last_below(&mut self, of: Of, id: &str) -> Result<Option<String>, ReadError> {
        let found: Id = diesel::sql_query(format!("SELECT max(id) AS id FROM {} WHERE id < ?", of.table()))
            .bind::<Text, _>(id)
            .get_result(&mut self.conn)?;
        Ok(found.id)
    }

    fn up_to(&mut self, of: Of, last: Option<String>, gone: &BTreeSet<String>) -> Result<UpTo, ReadError> {
        use sha2::Digest as _;
        let Some(until) = &last else {
            return Ok(UpTo::default());
        };
        let query = format!(
            "SELECT id FROM {} WHERE id > ? AND id <= ? ORDER BY id LIMIT {STEP}",
            of.table()
        );
        let (mut hash, mut rows, mut after) = (sha2::Sha256::new(), 0, String::new());
        let mut gone = gone.iter().take_while(|id| *id <= until).peekable();
        loop {
            let some: Vec<Id> = diesel::sql_query(&query)
                .bind::<Text, _>(&after)
                .bind::<Text, _>(until)
                .load(&mut self.conn)?;
            let Some(newest) = some.last().and_then(|row| row.id.clone()) else {
                break;
            };
            after = newest;
            for id in some.iter().filter_map(|row| row.id.as_ref()) {
                while let Some(before) = gone.next_if(|gone| *gone <= id) {
                    hash.update(format!("{before}\n"));
                    rows += 1;
                }
                hash.update(format!("{id}\n"));
                rows += 1;
            }
        }
        for id in gone {
            hash.update(format!("{id}\n"));
            rows += 1;
        }
        Ok(UpTo {
            last,
            rows,
            sha256: (rows > 0).then(|| Digest::from_hash(&hash.finalize())),
        })
    }

    /// What is missing that no sweep took, or there that no sweep left: what to say, and its details.
    fn unexplained(&mut self, own: PublicKey) -> Result<Option<Unexplained>, ReadError> {
        let stated = self.newest_statement()?.unwrap_or_default();
        let keys: Vec<PublicKey> = self.base_checkpoint()?.map(|base| base.key).into_iter().collect();
        let open = self.open_sweep(&[keys, vec![own]].concat())?;
        let unsigned = self.unsigned(&stated, open.as_ref())?;
        if !unsigned.is_empty() {
            let found: Vec<String> = unsigned.iter().map(|(what, text)| format!("{what}: {text}")).collect();
            return Ok(Some(Unexplained {
                what: "events are gone that no sweep took, or digests were added that no sweep left",
                details: serde_json::json!({ "stated": stated.hashes, "found": found }),
                unsigned: true,
            }));
        }
        if self.lacks_groups(&stated, open.as_ref())? {
            return Ok(Some(Unexplained {
                what: "digests are gone that no sweep has forgotten",
                details: serde_json::json!({ "stated": stated.groups, "found": self.standing_groups(i64::MAX, open.as_ref())? }),
                unsigned: false,
            }));
        }
        let Some(standing) = stated.standing else {
            return Ok(None);
        };
        let found = self.still_standing(&standing, open.as_ref())?;
        Ok((found != standing).then(|| Unexplained {
            what: "commands or pipelines are gone that no sweep took",
            details: serde_json::json!({ "stated": standing, "found": found }),
            unsigned: false,
        }))
    }

    /// Whether that was said since the newest sweep.
    fn is_said(&mut self) -> Result<bool, ReadError> {
        let closed = self.base_checkpoint()?.map_or(0, |checkpoint| checkpoint.event_id);
        let known: Option<i64> = event_log::table
            .filter(event_log::action.eq(TAMPERED))
            .filter(event_log::id.gt(closed))
            .filter(event_log::details.like("{\"found\":%\"stated\":%"))
            .select(event_log::id)
            .order(event_log::id.desc())
            .get_result(&mut self.conn)
            .optional()?;
        Ok(known.is_some())
    }
}

/// What nobody stands for.
struct Unexplained {
    what: &'static str,
    details: serde_json::Value,
    /// Whether it is hashes or digests.
    unsigned: bool,
}

/// What was looked at before a sweep signs.
#[derive(Clone, Debug)]
pub(super) struct Looked {
    /// Whether there are hashes or digests for which no statement may be signed.
    pub(super) refused: bool,
    /// The digests that it will sign for, and the hashes.
    pub(super) sealed: Sealing,
    pub(super) hashes: Sealing,
}

impl Store {
    /// Before a sweep signs for what is missing: that all of it was taken by sweeps. What was not is an event, and
    /// vouches for nothing.
    pub(super) async fn explain(&self) -> Result<Looked, WriteError> {
        let own = self.inner.key.public();
        let look = move |journal: &mut Journal| {
            let found = journal.unexplained(own)?;
            let (base, pieces) = (statement::base(journal)?, journal.newest_piece()?);
            let looked = Looked {
                refused: found.as_ref().is_some_and(|found| found.unsigned),
                sealed: journal.sealing(None)?,
                hashes: journal.hashes(base, pieces)?,
            };
            Ok((found.is_some(), looked))
        };
        let (found, looked) = self
            .reader()
            .read(look)
            .await
            .map_err(|why| WriteError::Database(why.to_string()))?;
        if found {
            self.write(move |tx| explain(tx, own)).await?;
        }
        Ok(looked)
    }
}

/// Says what nobody stands for, once.
fn explain(tx: &mut Tx<'_>, own: PublicKey) -> Result<(), Fault> {
    let Some(found) = tx.journal.unexplained(own)? else {
        return Ok(());
    };
    if found.unsigned {
        diesel::delete(sealed::table.filter(sealed::checkpoint_id.is_null())).execute(&mut tx.journal.conn)?;
    }
    let refused = tx.journal.newest_statement()?.is_some_and(|stated| stated.refused);
    if !refused && !tx.journal.is_said()? {
        tx.tampered(found.what, found.details)?;
    }
    Ok(())
}
