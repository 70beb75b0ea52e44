//! `audit verify`: whether the journal is what was written.

use std::path::{Path, PathBuf};

use serde_json::json;

use super::super::Context;
use super::super::failure::{Failure, say};
use super::Database;
use crate::domain::report_stamp::content_of;
use crate::domain::{Checkpoint, Invalid, PublicKey, ReportNumber, ReportStamp};
use crate::store::archive::{ArchiveVerdict, verify_archive};
use crate::store::{Against, Journal, Reader, Verdict, verify};

/// Exit codes: 0 everything fits; 1 something does not; 2 what was given cannot be taken; 3 there is no such database
/// or file.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Exit codes:
  0  everything fits
  1  something does not: the first that was found is on the first line
  2  something that was given cannot be taken
  3  there is no such database or file, or it cannot be read

A data folder whose folder output is gone, though commands wrote output, does not fit; nor does one where a file of the
archive is gone before retention has removed it. A copy of the database alone was never given these: put the folders
output and archive beside it, or leave them out with --no-outputs and --no-archive; else the exit code is 2. A database stands in a data folder if the files instance or quarterdeck.lock stand beside it.")]
pub(in super::super) struct Args {
    #[command(flatten)]
    database: Database,
    /// Checkpoints that an outside place kept, one a line; may be given several times
    #[arg(long, value_name = "FILE")]
    from_checkpoint: Vec<PathBuf>,
    /// The public key that counts, in PEM; may be given several times
    #[arg(long, value_name = "FILE")]
    public_key: Vec<PathBuf>,
    /// A printed report: its number, or its page saved as one file
    #[arg(long, value_name = "FILE|NUMBER")]
    report: Option<String>,
    /// Check files of the archive instead, each by itself: no database is needed
    #[arg(long, value_name = "FILE", num_args = 1.., conflicts_with_all = ["database", "no_outputs", "no_archive"])]
    archive: Vec<PathBuf>,
    /// Leave the output files out
    #[arg(long)]
    no_outputs: bool,
    /// Leave the files of the archive out
    #[arg(long)]
    no_archive: bool,
}

pub(in super::super) async fn execute(args: Args, context: &mut Context) -> Result<(), Failure> {
    let mut against = Against {
        outputs: !args.no_outputs,
        archive: !args.no_archive,
        ..Against::default()
    };
    for file in &args.public_key {
        against
            .keys
            .push(PublicKey::read(&text(file)?).map_err(|why| wrong(file, &why))?);
    }
    if !args.archive.is_empty() {
        kept(&args.from_checkpoint, None, &mut against)?;
        return archives(args.archive, against, context).await;
    }
    let (reader, folder) = args.database.open(context)?;
    if args.database.is_given() && !is_data_folder(&folder) {
        not_given(&reader, &folder, &against).await?;
    }
    let dashboard = reader.read(Journal::instance_row).await?.dashboard_id;
    let others = kept(&args.from_checkpoint, Some(&dashboard), &mut against)?;
    if let Some(report) = &args.report {
        let (stamp, content) = printed(report, &reader).await?;
        // The checkpoint on paper was kept outside, too.
        let line = stamp.checkpoint.as_deref().unwrap_or_default();
        against.checkpoints.extend(Checkpoint::read(line));
        against.report = Some((stamp, content));
    }
    let verdict = tokio::task::spawn_blocking(move || verify(&reader, &folder, &against))
        .await
        .map_err(anyhow::Error::from)
        .map_err(Failure::Other)??;
    if others > 0 {
        say(&format!(
            "quarterdeck: {others} lines look like checkpoints, but are none of this dashboard"
        ));
    }
    if context.out.is_json() {
        context.out.json(&json!(verdict))?;
    } else {
        tell(&verdict, context)?;
    }
    if verdict.fits() { Ok(()) } else { Err(Failure::Op) }
}

/// A copy of a database was never given what stands beside it in a data folder: that is no finding.
async fn not_given(reader: &Reader, folder: &Path, against: &Against) -> Result<(), Failure> {
    let mut lacks = Vec::new();
    if against.outputs && !folder.join("output").exists() && reader.read(Journal::any_output).await? {
        let text = "commands of this database wrote output, and there is no folder";
        lacks.push((text, "output", "leave the outputs out with --no-outputs"));
    }
    if against.archive && !folder.join("archive").exists() && reader.read(Journal::any_archive).await? {
        let text = "sweeps of this database wrote an archive, and there is no folder";
        lacks.push((text, "archive", "leave the archive out with --no-archive"));
    }
    if lacks.is_empty() {
        return Ok(());
    }
    let lacks = lacks.into_iter().map(|(text, name, or)| {
        let place = folder.join(name).display().to_string();
        format!("{text} {place} to compare: put the data folder's `{name}` there, or {or}")
    });
    Err(Failure::Usage(lacks.collect::<Vec<_>>().join("; ")))
}

/// Whether a dashboard has served from this folder: a copy of its database that lies elsewhere has these not beside it.
fn is_data_folder(folder: &Path) -> bool {
    folder.join("instance").exists() || folder.join("quarterdeck.lock").exists()
}

/// The stamp of a report, and its content where that is at hand.
async fn printed(report: &str, reader: &Reader) -> Result<(ReportStamp, Option<String>), Failure> {
    let file = PathBuf::from(report);
    if file.exists() {
        let page = text(&file)?;
        let stamp = ReportStamp::of_page(&page).map_err(|why| wrong(&file, &why))?;
        return Ok((stamp, content_of(&page).map(str::to_owned)));
    }
    let number: ReportNumber = report
        .parse()
        .map_err(|why: Invalid| Failure::Usage(format!("--report: there is no such file, and {}", why.problem)))?;
    let row = reader.read(move |journal| journal.report(number)).await?;
    let stamp = row.and_then(|row| row.stamp);
    let stamp = stamp.ok_or_else(|| Failure::Usage(format!("--report: there is no report {number}")))?;
    let stamp = stamp
        .parse()
        .map_err(|why: Invalid| Failure::Usage(format!("--report: {why}")))?;
    Ok((stamp, None))
}

/// Each file by itself.
async fn archives(files: Vec<PathBuf>, against: Against, context: &mut Context) -> Result<(), Failure> {
    let mut fit = true;
    for file in files {
        let (path, keys, kept) = (file.clone(), against.keys.clone(), against.checkpoints.clone());
        let verdict = tokio::task::spawn_blocking(move || verify_archive(&path, &keys, &kept))
            .await
            .map_err(anyhow::Error::from)
            .map_err(Failure::Other)?
            .map_err(|why| Failure::Unreachable(format!("{}: {why}", file.display())))?;
        fit &= verdict.fits();
        if context.out.is_json() {
            let mut line = json!(verdict);
            line["file"] = file.display().to_string().into();
            context.out.json(&line)?;
        } else {
            tell_archive(&file.display().to_string(), &verdict, context)?;
        }
    }
    if fit { Ok(()) } else { Err(Failure::Op) }
}

fn tell_archive(name: &str, verdict: &ArchiveVerdict, context: &mut Context) -> Result<(), Failure> {
    let out = &mut context.out;
    for problem in &verdict.problems {
        out.line(&format!("DOES NOT FIT  {name}: {}: {}", problem.what, problem.text))?;
    }
    if verdict.more > 0 {
        out.line(&format!("DOES NOT FIT  {name}: {} more", verdict.more))?;
    }
    let word = if verdict.fits() { "Fits" } else { "Does not fit" };
    let range = verdict
        .range
        .map_or_else(String::new, |(first, last)| format!(" ({first} to {last})"));
    let signed = verdict.checkpoint.as_ref().map_or_else(String::new, |(id, key)| {
        format!("; signed by checkpoint {id}, key {key}")
    });
    out.line(&format!(
        "{word}: {name}: {} events{range}, {} commands, {} pipelines{signed}",
        verdict.events, verdict.commands, verdict.pipelines
    ))
}

fn tell(verdict: &Verdict, context: &mut Context) -> Result<(), Failure> {
    let out = &mut context.out;
    for problem in &verdict.problems {
        out.line(&format!("DOES NOT FIT  {}: {}", problem.what, problem.text))?;
    }
    if verdict.more > 0 {
        out.line(&format!("DOES NOT FIT  {} more", verdict.more))?;
    }
    let from = verdict.first.map_or("none".to_owned(), |first| first.to_string());
    let hashes = match verdict.hashes {
        0 => String::new(),
        n => format!(" (and the hashes of {n} that were swept from between them)"),
    };
    out.line(&format!(
        "{}: {} events, {from} to {}{hashes}; {} checkpoints; {} commands, {} pipelines, {} outputs; {} archive files; {} \
         hosts, users, tokens, holds, reports and reviews",
        if verdict.fits() {
            "Everything fits"
        } else {
            "Not everything fits"
        },
        verdict.events,
        verdict.last,
        verdict.checkpoints,
        verdict.commands,
        verdict.pipelines,
        verdict.outputs,
        verdict.archives,
        verdict.others,
    ))?;
    out.line(&format!("Link of event {}: {}", verdict.last, verdict.link))?;
    for note in &verdict.notes {
        out.line(&format!("Note: {note}"))?;
    }
    Ok(())
}

fn text(file: &PathBuf) -> Result<String, Failure> {
    std::fs::read_to_string(file).map_err(|why| Failure::Usage(format!("{}: {why}", file.display())))
}

fn wrong(file: &Path, why: &Invalid) -> Failure {
    Failure::Usage(format!("{}: {why}", file.display()))
}

/// The checkpoints of some files; how many lines were none of this dashboard's.
fn kept(files: &[PathBuf], dashboard: Option<&str>, against: &mut Against) -> Result<usize, Failure> {
    let mut all = 0;
    for file in files {
        let (found, others) = checkpoints(&text(file)?, dashboard, file)?;
        against.checkpoints.extend(found);
        all += others;
    }
    Ok(all)
}

/// What looks like a checkpoint in a file: lines of JSON, each of them one, or lines of a syslog that end in one. Others
/// write into a syslog, too, so a line that is none, or another dashboard's, is left out; how many there were.
fn checkpoints(text: &str, dashboard: Option<&str>, file: &Path) -> Result<(Vec<Checkpoint>, usize), Failure> {
    let (mut found, mut others) = (Vec::new(), 0);
    for line in text.lines() {
        let Some(start) = line.find("{\"dashboard\"") else {
            continue;
        };
        match Checkpoint::read(&line[start..]) {
            Ok(checkpoint) if dashboard.is_none_or(|dashboard| checkpoint.dashboard == dashboard) => {
                found.push(checkpoint);
            }
            Ok(_) | Err(_) => others += 1,
        }
    }
    if found.is_empty() {
        let why = "there is no checkpoint of this dashboard in it";
        return Err(Failure::Usage(format!("{}: {why}", file.display())));
    }
    Ok((found, others))
}
