//! What stands beside the rows that events carry: the kinds of all columns, what reports said, how far the index of words
//! reaches, and files that belong to no command.

use std::io::Read as _;
use std::path::Path;

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};
use flate2::read::GzDecoder;

use super::super::record::Of;
use super::super::schema::{commands, event_index, report_contents, reports};
use super::super::{Journal, ReadError, Reader};
use super::Verdict;
use crate::domain::{Checkpoint, CommandId, Digest, ReportNumber, ReportStamp, Timestamp};

/// Tables whose columns have to be of the kinds that they are declared with: those that the chain, checkpoints and
/// records are about.
const TABLES: [&str; 16] = [
    "event_log",
    "swept_events",
    "sweep_pieces",
    "checkpoints",
    "checkpoint_keys",
    "sealed",
    "commands",
    "pipelines",
    "hosts",
    "users",
    "tokens",
    "holds",
    "reports",
    "report_contents",
    "reviews",
    "definitions",
];

/// Rows that are looked at in one step.
const ROWS: i64 = 10_000;

#[derive(QueryableByName)]
struct Column {
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Text)]
    declared: String,
}

#[derive(QueryableByName)]
struct Odd {
    #[diesel(sql_type = BigInt)]
    number: i64,
    #[diesel(sql_type = Text)]
    columns: String,
}

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = BigInt)]
    number: i64,
}

/// All of them.
pub(super) fn verify(
    reader: &Reader,
    data_dir: &Path,
    outputs: bool,
    settled: bool,
    verdict: &mut Verdict,
) -> Result<(), ReadError> {
    contents(reader, verdict)?;
    let (to, newest) = reader.read_blocking(|journal| {
        let to: i64 = event_index::table
            .select(event_index::event_id)
            .get_result(&mut journal.conn)?;
        Ok((to, journal.head()?.event_id))
    })?;
    if to > newest {
        verdict.wrong(
            "the index of words".to_owned(),
            format!("it claims to reach to event {to}, but the newest is event {newest}: what comes is not found"),
        );
    }
    // A sweep removes rows before their files.
    if outputs && settled {
        strange(reader, data_dir, verdict)?;
    }
    Ok(())
}

/// Whether all values are of the kinds that their columns are declared with. Bytes in a column of text read the same, but
/// no search and no export finds them.
pub(super) fn kinds(reader: &Reader, verdict: &mut Verdict) -> Result<(), ReadError> {
    for table in TABLES {
        let columns: Vec<Column> = reader.read_blocking(|journal| {
            Ok(
                diesel::sql_query("SELECT name, upper(type) AS declared FROM pragma_table_info(?)")
                    .bind::<Text, _>(table)
                    .load(&mut journal.conn)?,
            )
        })?;
        let odd: Vec<(String, String)> = columns
            .iter()
            .map(|column| {
                let kind = match column.declared.as_str() {
                    "TEXT" | "TIMESTAMP" => "text",
                    "BLOB" => "blob",
                    "DOUBLE" | "REAL" => "real",
                    _ => "integer",
                };
                let name = column.name.replace('"', "\"\"");
                (
                    format!("typeof(\"{name}\") NOT IN ('{kind}', 'null')"),
                    column.name.replace('\'', "''"),
                )
            })
            .collect();
        if odd.is_empty() {
            continue; // That it is missing is said with the schema.
        }
        let any: Vec<&str> = odd.iter().map(|(odd, _)| odd.as_str()).collect();
        let named: Vec<String> = odd
            .iter()
            .map(|(odd, name)| format!("CASE WHEN {odd} THEN ' {name}' ELSE '' END"))
            .collect();
        let query = format!(
            "SELECT rowid AS number, {} AS columns FROM {table} WHERE rowid > ? AND rowid <= ? AND ({})",
            named.join(" || "),
            any.join(" OR ")
        );
        below_the_first(reader, table, verdict)?;
        let mut from = 0;
        // From the next row that there is, for numbers may be far apart.
        while let Some(next) = reader.read_blocking(|journal| journal.next_number(table, from))? {
            from = next - 1;
            let some: Vec<Odd> = reader.read_blocking(|journal| {
                Ok(diesel::sql_query(&query)
                    .bind::<BigInt, _>(from)
                    .bind::<BigInt, _>(from.saturating_add(ROWS))
                    .load(&mut journal.conn)?)
            })?;
            from = from.saturating_add(ROWS);
            for odd in some {
                let name = match table {
                    "event_log" => format!("event {}", odd.number),
                    _ => format!("row {} of {table}", odd.number),
                };
                let text = format!(
                    "not of the kind that this program writes there:{}; it reads the same, but is found by no search",
                    odd.columns
                );
                verdict.wrong(name, text);
            }
        }
    }
    Ok(())
}

/// Rows whose numbers are below 1: this program gives none, so every walk begins there, and passes them by.
fn below_the_first(reader: &Reader, table: &str, verdict: &mut Verdict) -> Result<(), ReadError> {
    let some: Vec<Number> = reader.read_blocking(|journal| {
        Ok(diesel::sql_query(format!(
            "SELECT rowid AS number FROM {table} WHERE rowid < 1 ORDER BY rowid LIMIT 10"
        ))
        .load(&mut journal.conn)?)
    })?;
    for row in some {
        let text = "this program gives no number below 1: somebody else has put it there";
        verdict.wrong(format!("row {} of {table}", row.number), text);
    }
    Ok(())
}

/// A report, and what it said where that is kept: serial, number, when it was made, digest, length, content.
type Said = (
    i64,
    ReportNumber,
    Timestamp,
    Option<Digest>,
    Option<i64>,
    Option<(Timestamp, Vec<u8>)>,
);

/// The checkpoint that a report printed is the one that was made with it. Its event is from before: no record has it.
fn printed(reader: &Reader, id: i64, number: ReportNumber, verdict: &mut Verdict) -> Result<(), ReadError> {
    let same = reader.read_blocking(|journal| {
        let Some(row) = journal.report(number)? else {
            return Ok(true); // Gone since.
        };
        let (Some(stamp), Some(checkpoint)) = (row.stamp, row.checkpoint_id) else {
            return Ok(false);
        };
        let made = journal.checkpoints_after(checkpoint - 1, 1)?.pop();
        let Ok(stamp) = stamp.parse::<ReportStamp>() else {
            return Ok(false);
        };
        Ok(row.id == id
            && made.is_some_and(|made| {
                made.id == checkpoint
                    && Some(made.event_id) >= row.event_id
                    && stamp.key.as_deref() == Some(made.key.fingerprint().as_str())
                    && stamp.checkpoint.is_some_and(|line| Checkpoint::read(&line) == Ok(made))
            }))
    })?;
    if !same {
        let text = "the checkpoint in its seal is not the one that was made with it";
        verdict.wrong(format!("report {number}"), text);
    }
    Ok(())
}

/// What reports said is what their digests are of. What is past its time is taken from the oldest on.
fn contents(reader: &Reader, verdict: &mut Verdict) -> Result<(), ReadError> {
    let (mut last, mut kept) = (0, None);
    loop {
        let one: Option<Said> = reader.read_blocking(|journal| journal.next_said(last))?;
        let Some((id, number, made, digest, length, said)) = one else {
            return Ok(());
        };
        last = id;
        let name = format!("report {number}");
        if digest.is_some() {
            printed(reader, id, number, verdict)?;
        }
        match (digest, said) {
            (Some(digest), Some((at, gzip))) => {
                let mut text = Vec::new();
                let most = u64::try_from(length.unwrap_or(0)).unwrap_or(0).saturating_add(1);
                let read = GzDecoder::new(gzip.as_slice()).take(most).read_to_end(&mut text);
                if read.is_err() || Digest::of(&text) != digest {
                    verdict.wrong(name, "what is kept of it is not what it said");
                } else if at != made {
                    verdict.wrong(name, "what it said is kept as if it were of another age");
                }
                kept = Some(number);
            }
            (None, Some(_)) => verdict.wrong(name, "it never became whole, but something is kept as what it said"),
            (Some(_), None) => {
                if let Some(older) = kept {
                    let text = format!(
                        "what it said is gone, and no sweep took it: that takes the oldest first, and of {older} it is there"
                    );
                    verdict.wrong(name, text);
                }
            }
            (None, None) => {}
        }
    }
}

impl Journal {
    /// Whether a command has output that stands in a file.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn any_output(&mut self) -> Result<bool, ReadError> {
        let one: Option<CommandId> = commands::table
            .filter(commands::output_bytes.gt(0))
            .select(commands::id)
            .first(&mut self.conn)
            .optional()?;
        Ok(one.is_some())
    }

    /// The first number of a row of this table after one; none at the end.
    fn next_number(&mut self, table: &str, after: i64) -> Result<Option<i64>, ReadError> {
        let next: Vec<Number> = diesel::sql_query(format!(
            "SELECT rowid AS number FROM {table} WHERE rowid > ? ORDER BY rowid LIMIT 1"
        ))
        .bind::<BigInt, _>(after)
        .load(&mut self.conn)?;
        Ok(next.first().map(|row| row.number))
    }

    fn next_said(&mut self, after: i64) -> Result<Option<Said>, ReadError> {
        type Row = (i64, ReportNumber, Timestamp, Option<Digest>, Option<i64>);
        let row: Option<Row> = reports::table
            .filter(reports::id.gt(after))
            .order(reports::id.asc())
            .select((
                reports::id,
                reports::number,
                reports::made_at,
                reports::digest,
                reports::content_bytes,
            ))
            .first(&mut self.conn)
            .optional()?;
        let Some((id, number, made, digest, bytes)) = row else {
            return Ok(None);
        };
        let said = report_contents::table
            .find(id)
            .select((report_contents::made_at, report_contents::gzip))
            .get_result(&mut self.conn)
            .optional()?;
        Ok(Some((id, number, made, digest, bytes, said)))
    }
}

/// Files among the outputs that belong to no command.
fn strange(reader: &Reader, data_dir: &Path, verdict: &mut Verdict) -> Result<(), ReadError> {
    let Ok(folder) = std::fs::read_dir(data_dir.join("output")) else {
        return Ok(());
    };
    let (mut count, mut names) = (0_u64, Vec::new());
    for file in folder.flatten() {
        let name = file.file_name().to_string_lossy().into_owned();
        let id = name.parse::<CommandId>().ok().filter(|id| id.to_string() == name);
        if let Some(id) = id
            && reader.read_blocking(|journal| journal.has_row(Of::Command, &id.to_string()))?
        {
            continue;
        }
        count += 1;
        if names.len() < 5 {
            names.push(crate::domain::bounded(&name, 60));
        }
    }
    if count > 0 {
        verdict.notes.push(format!(
            "{count} files among the outputs belong to no command: {}{}",
            names.join(", "),
            if count > 5 { ", ..." } else { "" }
        ));
    }
    Ok(())
}
