//! A row as a line: CSV as in RFC 4180 in which no cell is a formula, or JSON.

use serde_json::Value;

use super::super::{CommandRow, EventRow, PipelineRow, ReadError};
use super::columns::Exported;
use crate::domain::{ExportFormat, ExportOf};

/// Adds a row.
pub(super) fn write<R: Exported>(row: &R, format: ExportFormat, bytes: &mut Vec<u8>) -> Result<(), ReadError> {
    match format {
        ExportFormat::Csv => write_line(&cells(row)?, bytes),
        ExportFormat::JsonLines => {
            serde_json::to_writer(&mut *bytes, row).map_err(unwritten)?;
            bytes.push(b'\n');
            Ok(())
        }
    }
}

/// One line of a CSV as in RFC 4180. Every cell is quoted: some programs take other signs than the comma for separators.
fn write_line(cells: &[impl AsRef<str>], bytes: &mut Vec<u8>) -> Result<(), ReadError> {
    let mut line = csv::WriterBuilder::new()
        .quote_style(csv::QuoteStyle::Always)
        .terminator(csv::Terminator::CRLF)
        .from_writer(bytes);
    line.write_record(cells.iter().map(AsRef::as_ref)).map_err(unwritten)?;
    line.flush().map_err(unwritten)
}

pub(super) fn head(of: ExportOf, bytes: &mut Vec<u8>) -> Result<(), ReadError> {
    let columns = match of {
        ExportOf::Events => EventRow::COLUMNS,
        ExportOf::Commands => CommandRow::COLUMNS,
        ExportOf::Pipelines => PipelineRow::COLUMNS,
    };
    write_line(columns, bytes)
}

/// A row's cells: text as it is but for what a spreadsheet would take for a formula, lists and objects as JSON.
fn cells<R: Exported>(row: &R) -> Result<Vec<String>, ReadError> {
    let row = serde_json::to_value(row).map_err(unwritten)?;
    let cell = |column: &&str| match &row[*column] {
        Value::Null => String::new(),
        Value::String(text) => harmless(text),
        other @ (Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => other.to_string(),
    };
    Ok(R::COLUMNS.iter().map(cell).collect())
}

/// What a formula begins with, in full width too: some spreadsheets take the one for the other.
const FORMULA: [char; 10] = [
    '=', '+', '-', '@', '\t', '\r', '\u{ff1d}', '\u{ff0b}', '\u{ff0d}', '\u{ff20}',
];

/// With an apostrophe in front where a spreadsheet would take the cell for a formula.
fn harmless(text: &str) -> String {
    if text.starts_with(FORMULA) {
        format!("'{text}")
    } else {
        text.to_owned()
    }
}

fn unwritten(why: impl std::fmt::Display) -> ReadError {
    ReadError::Database(format!("a row could not be written as a line of the export: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_that_begins_like_a_formula_is_text() {
        let wide = ["\u{ff1d}1+1", "\u{ff0b}1", "\u{ff0d}1", "\u{ff20}SUM(A1)"];
        for text in ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"].into_iter().chain(wide) {
            assert_eq!(harmless(text), format!("'{text}"));
        }
        for text in ["", "a=1", " =1", "'=1", "\u{202e}=1"] {
            assert_eq!(harmless(text), text);
        }
    }

    #[test]
    fn every_cell_is_quoted() {
        let mut bytes = Vec::new();
        write_line(&["plain", "", "a;=1", "say \"hi\"", "two\r\nlines"], &mut bytes).expect("written");
        let expected = "\"plain\",\"\",\"a;=1\",\"say \"\"hi\"\"\",\"two\r\nlines\"\r\n";
        assert_eq!(String::from_utf8(bytes).expect("UTF-8"), expected);
    }
}
