//! `definitions`: the resolved text of ops, each stored once. A command is followed, checked and resumed by the
//! one stored with it, never by today's catalog.

use diesel::prelude::*;

use super::error::Fault;
use super::schema::definitions;
use super::tx::Tx;
use super::{Journal, ReadError};
use crate::domain::{Definition, Digest};

impl Journal {
    /// The text of this digest.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn definition(&mut self, digest: &Digest) -> Result<Option<String>, ReadError> {
        Ok(definitions::table
            .find(digest)
            .select(definitions::text)
            .get_result(&mut self.conn)
            .optional()?)
    }
}

impl Tx<'_> {
    /// Makes sure that the definition is there.
    pub(super) fn keep_definition(&mut self, definition: &Definition) -> Result<Digest, Fault> {
        let text = definition.text();
        let digest = Digest::of(text.as_bytes());
        diesel::insert_into(definitions::table)
            .values((
                definitions::sha256.eq(&digest),
                definitions::text.eq(text),
                definitions::created_at.eq(self.now),
            ))
            .on_conflict_do_nothing()
            .execute(&mut self.journal.conn)?;
        Ok(digest)
    }
}
