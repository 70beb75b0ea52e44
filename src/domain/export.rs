//! What can be taken away as a file, and in which form.

use super::status::words;

words! {
    /// Rows of which table are taken away.
    ExportOf, "what" {
        /// The event log.
        Events = "events",
        /// Commands.
        Commands = "commands",
        /// Pipelines.
        Pipelines = "pipelines",
    }
}

words! {
    /// The form of the file.
    ExportFormat, "format" {
        /// RFC 4180 with a head; no cell begins like a formula.
        Csv = "csv",
        /// One JSON object a line, as the API has it.
        JsonLines = "jsonl",
    }
}

impl ExportFormat {
    /// The media type.
    #[must_use]
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Csv => "text/csv; charset=utf-8; header=present",
            Self::JsonLines => "application/jsonl; charset=utf-8",
        }
    }
}
