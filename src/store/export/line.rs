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
            bytes.extend_from_slice(one_line(row)?.as_bytes());
            bytes.push(b'\n');
            Ok(())
        }
    }
}

/// As JSON; what some readers take for the end of a line is escaped.
fn one_line(row: &impl serde::Serialize) -> Result<String, ReadError> {
    let line = serde_json::to_string(row).map_err(unwritten)?;
    Ok(line.replace('\u{2028}', "\\u2028").replace('\u{2029}', "\\u2029"))
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

/// Marks without width, some of which spreadsheets leave out before they look.
const UNSEEN: [char; 11] = [
    '\u{feff}', '\u{200b}', '\u{200c}', '\u{200d}', '\u{200e}', '\u{200f}', '\u{2060}', '\u{202a}', '\u{202d}',
    '\u{202e}', '\u{ad}',
];

/// With an apostrophe in front where a spreadsheet would take the cell for a formula, also behind what is not seen.
fn harmless(text: &str) -> String {
    let seen = text.trim_start_matches(|c: char| UNSEEN.contains(&c) || c.is_whitespace() || c.is_control());
    if text.starts_with(FORMULA) || seen.starts_with(FORMULA) {
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
        for text in [
            "=1+1",
            "+1",
            "-1",
            "@SUM(A1)",
            "\t=1",
            "\r=1",
            " =1",
            "\u{feff}=1",
            "\u{200b} \u{feff}=1",
            "\n+1",
            "\u{202e}=1",
        ]
        .into_iter()
        .chain(wide)
        {
            assert_eq!(harmless(text), format!("'{text}"));
        }
        for text in ["", "a=1", " a", "'=1", "\u{feff}a=1"] {
            assert_eq!(harmless(text), text);
        }
    }

    #[test]
    fn a_line_of_json_is_one_line_for_everybody() {
        let separators = serde_json::json!({ "message": "a\u{2028}b\u{2029}c" });
        let line = one_line(&separators).expect("written");
        assert_eq!(line, r#"{"message":"a\u2028b\u2029c"}"#);
        assert_eq!(serde_json::from_str::<Value>(&line).expect("the same"), separators);
    }

    #[test]
    fn every_cell_is_quoted() {
        let mut bytes = Vec::new();
        write_line(&["plain", "", "a;=1", "say \"hi\"", "two\r\nlines"], &mut bytes).expect("written");
        let expected = "\"plain\",\"\",\"a;=1\",\"say \"\"hi\"\"\",\"two\r\nlines\"\r\n";
        assert_eq!(String::from_utf8(bytes).expect("UTF-8"), expected);
    }
}
