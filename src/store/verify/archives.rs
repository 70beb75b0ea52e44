//! The files of the archive against what sweeps signed of them: each that retention has not removed is there, and is
//! what its sweep wrote.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;

use super::super::archive::{self, Known, Place, Sweep, verify_signed};
use super::super::{ReadError, Reader};
use super::{Against, Verdict};

/// How often files that are not where they should be are looked for: a sweep under way names, takes over and removes
/// some.
const LOOKS: usize = 3;

/// Strange files that are named.
const NAMED: usize = 5;

/// What is no problem, and has to be known.
#[derive(Default)]
struct Noted {
    unarchived: u64,
    expired: u64,
    last_expired: String,
    unended: Option<String>,
}

/// How a look at one file went.
enum Found {
    /// It is dealt with.
    Done,
    /// It is not where it should be.
    Not,
}

pub(super) fn verify(
    reader: &Reader,
    data_dir: &Path,
    against: &Against,
    verdict: &mut Verdict,
) -> Result<(), ReadError> {
    let mut noted = Noted::default();
    let mut known = Known::now(reader, data_dir)?;
    for checkpoint in &known.unread {
        verdict.wrong(
            format!("checkpoint {checkpoint}"),
            "what it states of its sweep cannot be read",
        );
    }
    let mut left: BTreeSet<i64> = known.sweeps.iter().map(|sweep| sweep.checkpoint).collect();
    for look in 1..=LOOKS {
        for at in 0..known.sweeps.len() {
            let checkpoint = known.sweeps[at].checkpoint;
            if left.contains(&checkpoint)
                && let Found::Done = look_at(reader, against, &known, at, &mut noted, verdict)?
            {
                left.remove(&checkpoint);
            }
        }
        if left.is_empty() || look == LOOKS {
            break;
        }
        known = Known::now(reader, data_dir)?;
    }
    let missing: Vec<&Sweep> = known
        .sweeps
        .iter()
        .filter(|sweep| left.contains(&sweep.checkpoint))
        .collect();
    match missing.first() {
        Some(sweep) if !archive::is_there(data_dir) => verdict.wrong(
            archive::folder(data_dir).display().to_string(),
            format!(
                "there is no such folder, and {} files should be in it, the oldest {}; leave the archive out with --no-archive",
                missing.len(),
                sweep.name()
            ),
        ),
        Some(_) | None => {
            for sweep in missing {
                let [events, commands, pipelines] = sweep.counts();
                let text = format!(
                    "it is missing, and retention did not remove it; it had {events} events, {commands} commands, {pipelines} pipelines"
                );
                verdict.wrong(called(sweep), text);
            }
        }
    }
    let strange = known.strange(reader)?;
    noted.tell(&strange, verdict);
    Ok(())
}

/// How a file is named in a problem.
fn called(sweep: &Sweep) -> String {
    format!(
        "archive file {} of the sweep of checkpoint {}",
        sweep.name(),
        sweep.checkpoint
    )
}

fn look_at(
    reader: &Reader,
    against: &Against,
    known: &Known,
    at: usize,
    noted: &mut Noted,
    verdict: &mut Verdict,
) -> Result<Found, ReadError> {
    let sweep = &known.sweeps[at];
    match known.place(at) {
        Place::Unarchived => noted.unarchived += 1,
        Place::TakenOver => {}
        Place::Expired => {
            noted.expired += 1;
            noted.last_expired = sweep.name();
        }
        Place::Missing => return Ok(Found::Not),
        Place::Unended(signed) => match known.part_of(sweep, signed) {
            Some((part, compared)) => {
                verdict.archives += u64::from(compared);
                noted.unended = Some(match compared {
                    true => format!("{}, and fits", part.name),
                    false => format!("{}, which has taken it over and has no end yet", part.name),
                });
            }
            None => return Ok(Found::Not),
        },
        Place::Whole(file, _) => {
            let id = sweep.checkpoint;
            let signed = reader.read_blocking(|journal| journal.checkpoints_after(id - 1, 1))?;
            let Some(signed) = signed.into_iter().find(|signed| signed.id == id) else {
                return Ok(Found::Not);
            };
            let found = match verify_signed(&file.path, &against.keys, &against.checkpoints, &signed) {
                Ok(found) => found,
                // Retention may have removed it meanwhile.
                Err(why) if why.kind() == io::ErrorKind::NotFound => return Ok(Found::Not),
                Err(why) => {
                    verdict.wrong(called(sweep), format!("it cannot be read: {why}"));
                    return Ok(Found::Done);
                }
            };
            verdict.archives += 1;
            if let Some(first) = found.problems.first() {
                let more = found.problems.len() as u64 - 1 + found.more;
                let more = match more {
                    0 => String::new(),
                    more => format!(
                        " (and {more} more: `quarterdeck audit verify --archive {}`)",
                        file.path.display()
                    ),
                };
                let name = format!("archive file {} of the sweep of checkpoint {id}", file.name);
                verdict.wrong(name, format!("{}: {}{more}", first.what, first.text));
            }
        }
    }
    Ok(Found::Done)
}

impl Noted {
    fn tell(self, strange: &[String], verdict: &mut Verdict) {
        if self.expired > 0 {
            verdict.notes.push(format!(
                "The archive files of {} sweeps, the newest {}, are past their time: retention removed them",
                self.expired, self.last_expired
            ));
        }
        if self.unarchived > 0 {
            verdict.notes.push(format!(
                "{} sweeps removed rows without an archive, as it was configured",
                self.unarchived
            ));
        }
        if let Some(part) = self.unended {
            verdict.notes.push(format!(
                "The archive file of the newest sweep has not come to its name: the dashboard is at it, or was killed; what it \
                 has stands in {part}"
            ));
        }
        if !strange.is_empty() {
            verdict.notes.push(format!(
                "{} files in the archive are of no sweep of this journal: {}{}",
                strange.len(),
                strange[..strange.len().min(NAMED)].join(", "),
                if strange.len() > NAMED { ", ..." } else { "" }
            ));
        }
    }
}
