//! The digests that one sweep left, and its checkpoint signed, are a group: it stays whole while a row stands of which it
//! says something. Which groups there are, the next statement says, so that none is taken away: then what older ones, or
//! older events, say of a row would count again.

use diesel::prelude::*;
use diesel::sql_types::BigInt;

use super::super::schema::sealed;
use super::super::{Journal, ReadError};
use super::Number;
use super::piece::OpenSweep;
use super::statement::{Sealing, Statement, Summing};

impl Journal {
    /// The checkpoints that signed digests which are still there.
    pub(super) fn groups(&mut self) -> Result<Vec<i64>, ReadError> {
        let groups: Vec<Option<i64>> = sealed::table
            .filter(sealed::checkpoint_id.is_not_null())
            .select(sealed::checkpoint_id)
            .distinct()
            .order(sealed::checkpoint_id.asc())
            .load(&mut self.conn)?;
        Ok(groups.into_iter().flatten().collect())
    }

    /// Whether a row stands of which a digest of this checkpoint says something; hosts, people and their like always do.
    pub(super) fn stands_for_any(&mut self, checkpoint: i64) -> Result<bool, ReadError> {
        let stands: Vec<Number> = diesel::sql_query(
            "SELECT s.id AS n FROM sealed s WHERE s.checkpoint_id = ? AND (EXISTS (SELECT 1 FROM commands WHERE id = s.what) \
             OR EXISTS (SELECT 1 FROM pipelines WHERE id = s.what) OR instr(s.what, ' ') > 0) ORDER BY s.id DESC LIMIT 1",
        )
        .bind::<BigInt, _>(checkpoint)
        .load(&mut self.conn)?;
        Ok(!stands.is_empty())
    }

    /// The checkpoints before one whose digests stand for rows that are there; what the sweep under way has taken counts as
    /// there.
    pub(super) fn standing_groups(&mut self, before: i64, open: Option<&OpenSweep>) -> Result<Sealing, ReadError> {
        let mut sum = Summing::default();
        for group in self.groups()?.into_iter().filter(|group| *group < before) {
            if self.stands_for_any(group)? || self.stood_for_any(group, open)? {
                sum.checkpoint(group);
            }
        }
        Ok(sum.end())
    }

    fn stood_for_any(&mut self, checkpoint: i64, open: Option<&OpenSweep>) -> Result<bool, ReadError> {
        let Some(open) = open else { return Ok(false) };
        let all: Vec<String> = sealed::table
            .filter(sealed::checkpoint_id.eq(checkpoint))
            .select(sealed::what)
            .load(&mut self.conn)?;
        Ok(all
            .iter()
            .any(|what| open.commands.contains(what) || open.pipelines.contains(what)))
    }

    /// Whether digests are gone that the newest statement names, or signs itself.
    pub(in crate::store) fn lacks_groups(
        &mut self,
        stated: &Statement,
        open: Option<&OpenSweep>,
    ) -> Result<bool, ReadError> {
        let Some(groups) = &stated.groups else {
            return Ok(false); // An older version did not say.
        };
        let own = self.base_checkpoint()?.map_or(0, |checkpoint| checkpoint.id);
        // Where some of its own are there, they are compared with what it signed, as those of others are.
        let own_is_gone = stated.sealed.rows > 0 && self.sealing(Some(own))?.rows == 0;
        Ok(own_is_gone || self.standing_groups(own, open)? != *groups)
    }
}
