//! "Did you mean": the known word that an unknown one was most likely meant to be.

/// The one of `known` that is nearest to `word`, if any is near enough to be worth naming.
#[must_use]
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_lowercase();
    known
        .into_iter()
        .map(|known| {
            let edits = strsim::damerau_levenshtein(&word, known);
            (edits, known)
        })
        .filter(|(edits, known)| *edits <= 2.max(known.len().max(word.len()) / 3))
        .min()
        .map(|(_, known)| known)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn names_what_was_meant_and_nothing_far_off() {
        let known = ["events_days", "commands_days", "listen", "zone"];
        assert_eq!(nearest("event_days", known), Some("events_days"));
        assert_eq!(nearest("LISTEN", known), Some("listen"));
        assert_eq!(nearest("lsiten", known), Some("listen"));
        assert_eq!(nearest("password", known), None);
    }
}
