//! The words that the full-text index has: what a star stands for is looked up there and spelled out. FTS5 by itself
//! puts the lists of all words of a beginning together before it gives the first row, however few rows are wanted; of words
//! that are named it reads as far as a page goes. Where there are too many to name, the events are looked at (`look`).

use diesel::expression_methods::ExpressionMethods as _;
use diesel::prelude::*;

use super::look::Beginning;
use super::walk::Part;
use super::{Journal, ReadError};

/// So many words of one beginning are spelled out; what has more is left to FTS5.
const SPELLED: usize = 64;

// Not in `schema.rs`: a view of the index, without a key.
diesel::table! {
    event_words_known (term) {
        term -> Text,
    }
}

impl Journal {
    /// What finds a word or phrase. As a query of FTS5, `"succ"*` becomes `"succeeded" OR "success"`, `"web 0"*` becomes
    /// `"web 01" OR "web 02"`.
    pub(super) fn spelled_out(&mut self, term: &str) -> Result<Part, ReadError> {
        let as_it_is = || Part::Text(term.to_owned());
        let Some(phrase) = term.strip_suffix('*') else {
            return Ok(as_it_is());
        };
        let phrase = phrase.trim_matches('"');
        let (head, beginning) = match phrase.rfind(' ') {
            Some(space) => phrase.split_at(space + 1),
            None => ("", phrase),
        };
        // Of other letters only FTS5 knows how they are written in the index.
        if !beginning.chars().all(|c| c.is_ascii_alphanumeric()) {
            return Ok(as_it_is());
        }
        let words = self.words_from(&beginning.to_ascii_lowercase())?;
        if words.is_empty() {
            return Ok(as_it_is());
        }
        if words.len() > SPELLED {
            return Ok(Beginning::of(term).map_or_else(as_it_is, Part::Beginning));
        }
        let phrases: Vec<String> = words.iter().map(|word| format!("\"{head}{word}\"")).collect();
        Ok(Part::Text(phrases.join(" OR ")))
    }

    /// The words that begin so, and one more than [`SPELLED`] at most: one step in the index for each, however many
    /// events have it.
    fn words_from(&mut self, beginning: &str) -> Result<Vec<String>, ReadError> {
        let mut words: Vec<String> = Vec::new();
        let mut least = beginning.to_owned();
        while words.len() <= SPELLED {
            let next: Option<String> = event_words_known::table
                .select(event_words_known::term)
                .filter(event_words_known::term.ge(least))
                .get_result(&mut self.conn)
                .optional()?;
            match next {
                Some(word) if word.starts_with(beginning) => {
                    // Nothing sorts between a word and this.
                    least = format!("{word}\u{1}");
                    words.push(word);
                }
                Some(_) | None => break,
            }
        }
        Ok(words)
    }
}

#[cfg(test)]
mod tests {
    use super::super::NewEvent;
    use super::super::tests::store_in;
    use super::*;
    use crate::domain::Level;

    #[tokio::test]
    async fn a_star_is_spelled_out_where_its_words_are_few() {
        let dir = tempfile::tempdir().expect("folder");
        let store = store_in(&dir);
        let many: Vec<String> = (0..SPELLED + 1).map(|n| format!("web{n}")).collect();
        for text in [
            "Succeeded success: succinct",
            "on web-01, web-02",
            "über uber",
            &many.join(" "),
        ] {
            let event = NewEvent::system(Level::Info, "x", text);
            store.append_event(event).await.expect("written");
        }
        while store.index_some_events().await.expect("indexed").more {}
        let spelled = |term: &str| {
            let read = |journal: &mut Journal| journal.spelled_out(term);
            let part = store.reader().read_blocking(read).expect("read");
            if let Part::Beginning(beginning) = part {
                return format!("many: {}", beginning.term);
            }
            let Part::Text(query) = part else { panic!("{part:?}") };
            query
        };
        for (term, query) in [
            ("\"succ\"*", "\"succeeded\" OR \"success\" OR \"succinct\""),
            ("\"SUCCE\"*", "\"succeeded\" OR \"success\""),
            ("\"success\"*", "\"success\""),
            ("\"on web 0\"*", "\"on web 01\" OR \"on web 02\""),
            ("\"ube\"*", "\"uber\""),
            ("\"succ\"", "\"succ\""),
            ("\"nothing\"*", "\"nothing\"*"),
            ("\"übe\"*", "\"übe\"*"),
            ("\"web\"*", "many: \"web\"*"),
            ("\"on web\"*", "many: \"on web\"*"),
            ("\"ön web\"*", "\"ön web\"*"),
        ] {
            assert_eq!(spelled(term), query);
        }
    }
}
