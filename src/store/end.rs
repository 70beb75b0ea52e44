//! Where the log ends, as its writer left it: what is found there later has to be the same, or something else than the
//! dashboard has written. The writer looks with each transaction, and a start compares what the dashboard before it
//! wrote into the file beside the database ([`super::mark`]). What differs is said in an event, and work goes on from
//! what is there.

use diesel::prelude::*;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::sql_types::{BigInt, Binary, Nullable, Text};
use diesel::sqlite::Sqlite;
use serde::{Deserialize, Serialize};

use super::error::Fault;
use super::schema::checkpoint_keys;
use super::sweep::TAMPERED;
use super::tx::Tx;
use super::{Journal, NewEvent, ReadError};
use crate::domain::{Category, CheckpointKind, Level, Link};

/// The newest event and the newest checkpoint.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct End {
    /// 0 where there is none.
    pub(super) event_id: i64,
    pub(super) link: Link,
    /// 0 where there is none.
    pub(super) checkpoint_id: i64,
    pub(super) signature: String,
}

/// One look of the writer, before and after each transaction.
pub(super) struct Look {
    /// How many groups were committed.
    pub(super) groups: i64,
    /// How many rows this connection has changed, undone or not.
    pub(super) changes: i64,
    pub(super) end: End,
}

/// A query of fixed text, so that it stays prepared.
#[derive(QueryId)]
struct Looking;

impl QueryFragment<Sqlite> for Looking {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Sqlite>) -> QueryResult<()> {
        out.push_sql(
            "SELECT v.groups, total_changes(), e.id, e.link, c.id, c.signature FROM state_version v \
             LEFT JOIN event_log e ON e.id = (SELECT max(id) FROM event_log) \
             LEFT JOIN checkpoints c ON c.id = (SELECT max(id) FROM checkpoints)",
        );
        Ok(())
    }
}

impl Query for Looking {
    type SqlType = (
        BigInt,
        BigInt,
        Nullable<BigInt>,
        Nullable<Binary>,
        Nullable<BigInt>,
        Nullable<Text>,
    );
}

impl RunQueryDsl<SqliteConnection> for Looking {}

type Found = (i64, i64, Option<i64>, Option<Link>, Option<i64>, Option<String>);

impl Journal {
    /// See [`Look`].
    pub(super) fn look(&mut self) -> QueryResult<Look> {
        let (groups, changes, event, link, checkpoint, signature): Found = Looking.get_result(&mut self.conn)?;
        Ok(Look {
            groups,
            changes,
            end: End {
                event_id: event.unwrap_or(0),
                link: link.unwrap_or(Link::START),
                checkpoint_id: checkpoint.unwrap_or(0),
                signature: signature.unwrap_or_default(),
            },
        })
    }

    /// Whether checkpoints were ever signed here.
    pub(super) fn was_signed(&mut self) -> Result<bool, ReadError> {
        let keys: i64 = checkpoint_keys::table.count().get_result(&mut self.conn)?;
        Ok(keys > 0 || self.largest_ever("checkpoints")? > 0)
    }

    /// What is not as the dashboard before this one left it, each a sentence without its end. `left` is what that wrote
    /// down last; more may have come after it.
    pub(super) fn changed_since(&mut self, left: Option<&End>) -> Result<Vec<String>, ReadError> {
        let end = self.look()?.end;
        let mut wrong = Vec::new();
        let largest = self.largest_ever("event_log")?;
        if largest > end.event_id {
            wrong.push(format!(
                "the log ends at event {}, but there was an event {largest}",
                end.event_id
            ));
        }
        let signed = self.largest_ever("checkpoints")?;
        if signed > end.checkpoint_id {
            wrong.push(format!(
                "the newest checkpoint is {}, but there was a checkpoint {signed}",
                end.checkpoint_id
            ));
        }
        if let Some(left) = left {
            if left.event_id > end.event_id.max(largest) {
                wrong.push(format!("event {} is gone, with which the log ended", left.event_id));
            } else if self.is_replaced(left.event_id, left.link)? {
                wrong.push(format!("event {} is not what it was", left.event_id));
            }
            let same = left.checkpoint_id != end.checkpoint_id || left.signature == end.signature;
            if left.checkpoint_id > end.checkpoint_id.max(signed) || !same {
                wrong.push(format!("checkpoint {} is not what it was, or gone", left.checkpoint_id));
            }
        }
        if let Some(newest) = self.newest_checkpoint()? {
            let stopped = newest.kind == CheckpointKind::Stop;
            if stopped && newest.event_id < end.event_id {
                wrong.push(format!(
                    "the dashboard stopped after event {}, but the log goes on to event {}",
                    newest.event_id, end.event_id
                ));
            }
            if newest.event_id > end.event_id.max(largest) || self.is_replaced(newest.event_id, newest.link)? {
                wrong.push(format!(
                    "event {} is not what checkpoint {} says of it, or gone",
                    newest.event_id, newest.id
                ));
            }
        }
        Ok(wrong)
    }

    /// Whether there is another event of this number. What was swept, is not.
    fn is_replaced(&mut self, event: i64, link: Link) -> Result<bool, ReadError> {
        Ok(event > 0 && self.link_of(event)?.is_some_and(|found| found != link))
    }
}

impl Tx<'_> {
    /// Says that something else has written at the end of the log, between two transactions of one writer.
    pub(super) fn end_differs(&mut self, left: &End, found: &End) -> Result<(), Fault> {
        let mut parts = Vec::new();
        if (left.event_id, left.link) != (found.event_id, found.link) {
            parts.push(match found.event_id.cmp(&left.event_id) {
                std::cmp::Ordering::Less => {
                    format!(
                        "the log ended at event {}, and now ends at event {}",
                        left.event_id, found.event_id
                    )
                }
                std::cmp::Ordering::Equal => format!("event {}, the newest, was replaced", left.event_id),
                std::cmp::Ordering::Greater => {
                    format!(
                        "events {} to {} are not of its writing",
                        left.event_id + 1,
                        found.event_id
                    )
                }
            });
        }
        if (left.checkpoint_id, &left.signature) != (found.checkpoint_id, &found.signature) {
            parts.push(format!(
                "the newest checkpoint was {}, and now is {}",
                left.checkpoint_id, found.checkpoint_id
            ));
        }
        let details = serde_json::json!({ "left": left, "found": found });
        self.tampered(&parts.join("; "), details)
    }

    /// The event that something else than the dashboard has changed the database.
    pub(super) fn tampered(&mut self, what: &str, details: serde_json::Value) -> Result<(), Fault> {
        self.event(NewEvent {
            category: Category::Audit,
            details: Some(details),
            ..NewEvent::system(
                Level::Error,
                TAMPERED,
                format!("The database was changed by something else than the dashboard: {what}"),
            )
        })?;
        Ok(())
    }
}
