//! Whether the database is made as this program makes it, and what it holds is of the kinds that it writes.

use super::super::{Journal, ReadError, Reader};
use super::Verdict;

pub(super) fn verify(reader: &Reader, verdict: &mut Verdict) -> Result<(), ReadError> {
    for (what, text) in reader.read_afresh(Journal::other_shape)? {
        verdict.wrong(what, text);
    }
    Ok(())
}
