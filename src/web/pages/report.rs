//! Audit reports: one is made by a form, and shown on one page made for paper. What it says was drawn once, when it was
//! made, and is shown byte for byte as it was; only what stands around it (digest, reviews, what was swept since) is of
//! today.

use std::io::{Read as _, Write as _};
use std::sync::Arc;

use actix_web::HttpResponse;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use actix_web::web::{Data, Form, Path, ReqData};
use askama::Template;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use qrcode::render::svg;
use qrcode::{EcLevel, QrCode};
use tokio::sync::Semaphore;

use crate::domain::{Checkpoint, Digest, ReportAsk, ReportNumber, ReportStamp, report_stamp};
use crate::engine::{By, Engine};
use crate::store::{Against, Cursor, Journal, ReportDone, ReportRow, ReviewRow, verify};

use super::super::clock::{Clock, When};
use super::super::error::{Problem, bad_form};
use super::super::fields::{Fields, to_query};
use super::super::frame::{Frame, html, see};
use super::super::words::count;
use super::super::{Visitor, Web};
use super::report_content::{Content, Making, paper_css};
use super::report_form;
use super::report_gather::gather;

type FormPairs = Result<Form<Vec<(String, String)>>, actix_web::Error>;

/// Reports on one page of their list.
const LISTED: i64 = 100;
/// What does not fit, told one by one.
const PROBLEMS: usize = 20;
/// One report is made at a time: each holds its rows in memory.
static ONE: Semaphore = Semaphore::const_new(1);

#[derive(Template)]
#[template(path = "report/report.html")]
struct ReportPage {
    frame: Frame,
    row: ReportRow,
    made: When,
    /// What it says, between its marks; none where that is not kept.
    content: Option<String>,
    begin: &'static str,
    end: &'static str,
    digest: String,
    /// What is kept has the digest that was journaled.
    intact: bool,
    /// Its events are not all in the journal any more.
    swept: bool,
    stamp: String,
    seal: Vec<(&'static str, String)>,
    picture: String,
    /// The checkpoint that was made with it: what was signed, the signature, the key.
    checkpoint: Option<Signed>,
    check: String,
    reviews: Vec<ReviewLine>,
    may_review: bool,
    parts: Vec<Part>,
}

struct Signed {
    text: String,
    signature: String,
    pem: String,
}

struct ReviewLine {
    up_to: i64,
    by: String,
    at: When,
    note: String,
}

/// Another part of the same report, as the form that makes it.
struct Part {
    number: u32,
    fields: Vec<(&'static str, String)>,
}

#[derive(Template)]
#[template(path = "report/list.html")]
struct ListPage {
    frame: Frame,
    rows: Vec<ListLine>,
    newer: Option<String>,
    older: Option<String>,
}

struct ListLine {
    number: String,
    made: When,
    by: String,
    since: When,
    until: When,
    digest: String,
}

/// How to check it without this program: sqlite3 and hashlib of Python, and openssl.
const CHECK: &str = include_str!("../../../templates/report/check.txt");

pub(in crate::web) async fn make(
    web: Data<Web>,
    visitor: ReqData<Visitor>,
    form: FormPairs,
) -> Result<HttpResponse, Problem> {
    let form = form.map_err(|why| bad_form(&why))?;
    let fields = Fields::form(form.into_inner());
    let ask = report_form::read(&fields, &web).await?;
    let row = make_one(&web, ask, visitor.by()).await?;
    Ok(see(&format!("/audit/reports/{}", row.number)))
}

/// Gathers, draws and journals one report.
async fn make_one(web: &Web, ask: ReportAsk, by: By) -> Result<ReportRow, Problem> {
    let _one = ONE.acquire().await.map_err(|why| Problem::internal(why.to_string()))?;
    let engine = &web.engine;
    let found = gather(engine, &ask).await?;
    let making = Making {
        organisation: web.settings.organisation.clone(),
        version: env!("CARGO_PKG_VERSION"),
        dashboard: engine.dashboard_id().to_owned(),
        keeps_events: engine.keeps_events(),
        keeps_commands: engine.keeps_commands(),
        clock: engine.clock_state().await,
        verdict: Some(verdict(engine).await?),
        witness: None,
    };
    let begun = engine.begin_report(ask, found.covers, by.clone()).await?;
    let clock = Clock {
        now: begun.made_at,
        ..web.clock()
    };
    let (data_dir, row) = (engine.data_dir().to_owned(), begun.clone());
    let done = blocking(move || {
        let mut content = Content::new(&row, &found, &making, &clock, &data_dir);
        let first = drawn(&content)?;
        // Counted in what was drawn, not in what was meant to be.
        content.printed = (
            first.matches("<tr class=\"c\">").count(),
            first.matches("<tr class=\"e\">").count(),
        );
        let text = drawn(&content)?;
        Ok(ReportDone {
            gzip: Arc::from(squeezed(&text)?),
            bytes: i64::try_from(text.len()).unwrap_or(i64::MAX),
            digest: Digest::of(text.as_bytes()),
            first_event: found.first_event,
            last_event: found.last_event,
            events: i64::try_from(found.range_events).unwrap_or(i64::MAX),
            summary: serde_json::json!({
                "commands": found.totals.commands, "exceptions": found.exceptions_total,
                "events": found.events_total, "refusals_and_log_ins": found.access_total,
                "part": row.parameters.part, "parts": found.parts,
                "printed": { "commands": content.printed.0, "events": content.printed.1 },
                "all_printed": content.printed == content.expected(),
            }),
        })
    })
    .await?;
    Ok(engine.finish_report(begun.id, done, by).await?)
}

/// What `audit verify` says now, in words; and whether it is good. Outputs are not read: they may be many and long.
async fn verdict(engine: &Engine) -> Result<(bool, Vec<String>), Problem> {
    let (reader, data_dir) = (engine.reader().clone(), engine.data_dir().to_owned());
    let verdict = blocking(move || Ok(verify(&reader, &data_dir, &Against::default())?)).await?;
    let mut says = vec![format!(
        "Checked: {} and {} of the chain up to #{}; {}, {} against their events. The files of outputs were not read.",
        count(i64::try_from(verdict.events).unwrap_or(i64::MAX), "event", "events"),
        count(
            i64::try_from(verdict.checkpoints).unwrap_or(i64::MAX),
            "checkpoint",
            "checkpoints"
        ),
        verdict.last,
        count(
            i64::try_from(verdict.commands).unwrap_or(i64::MAX),
            "final command",
            "final commands"
        ),
        count(
            i64::try_from(verdict.pipelines).unwrap_or(i64::MAX),
            "pipeline",
            "pipelines"
        ),
    )];
    let problems = verdict.problems.iter().take(PROBLEMS);
    says.extend(problems.map(|problem| format!("{}: {}.", problem.what, problem.text)));
    let told = verdict.problems.len().min(PROBLEMS);
    let more = (verdict.problems.len() - told) as u64 + verdict.more;
    if more > 0 {
        says.push(format!(
            "{more} more do not fit; `quarterdeck audit verify` names them."
        ));
    }
    Ok((verdict.fits(), says))
}

fn drawn(content: &Content) -> Result<String, Problem> {
    content
        .render()
        .map_err(|why| Problem::internal(format!("the report could not be drawn: {why}")))
}

fn squeezed(text: &str) -> Result<Vec<u8>, Problem> {
    let wrong = |why: std::io::Error| Problem::internal(format!("the report could not be compressed: {why}"));
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(text.as_bytes()).map_err(wrong)?;
    gzip.finish().map_err(wrong)
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, Problem> + Send + 'static) -> Result<T, Problem> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|why| Problem::internal(format!("the report could not be made: {why}")))?
}

pub(in crate::web) async fn show(
    web: Data<Web>,
    visitor: ReqData<Visitor>,
    number: Path<String>,
) -> Result<HttpResponse, Problem> {
    let number = read_number(&number)?;
    let read = move |journal: &mut Journal| {
        let Some(row) = journal.report(number)? else {
            return Ok(None);
        };
        let kept = journal.report_content(row.id)?;
        let reviews = journal.reviews_of(row.id)?;
        Ok(Some((row, kept, reviews, journal.oldest_event()?)))
    };
    let found = web.engine.reader().read(read).await?;
    let (row, kept, reviews, oldest) = found.ok_or_else(|| Problem::missing(&format!("The report {number}")))?;
    let (length, is_kept) = (row.content_bytes, kept.is_some());
    let content = blocking(move || Ok(kept.and_then(|kept| unsqueezed(&kept, length)))).await?;
    let clock = web.clock();
    let digest = row.digest.as_ref().map(ToString::to_string).unwrap_or_default();
    // A copy that cannot be read is one that was altered.
    let same = |text: &String| Digest::of(text.as_bytes()).to_string() == digest;
    let intact = !is_kept || content.as_ref().is_some_and(same);
    let stamp = row.stamp.clone().unwrap_or_default();
    let read_stamp = stamp.parse::<ReportStamp>().ok();
    let first = read_stamp.as_ref().and_then(|stamp| stamp.first_event);
    let reader = visitor.actor.clone();
    html(&ReportPage {
        frame: Frame::new(&web, &visitor, "audit", format!("Audit report {number}")),
        made: clock.when(row.made_at),
        begin: report_stamp::BEGIN,
        end: report_stamp::END,
        swept: first.is_some_and(|first| oldest.is_none_or(|(oldest, _)| oldest > first)),
        seal: seal(&row, read_stamp.as_ref()),
        picture: match &read_stamp {
            Some(stamp) => picture(stamp)?,
            None => String::new(),
        },
        checkpoint: read_stamp.as_ref().and_then(signed),
        check: CHECK.replace("COVERS", &row.covers.to_string()),
        may_review: row.digest.is_some() && !reviews.iter().any(|seen| seen.reviewed_by == reader),
        reviews: reviews
            .into_iter()
            .map(|review| ReviewLine::new(review, &clock))
            .collect(),
        parts: parts(&row),
        content,
        digest,
        intact,
        stamp,
        row,
    })
}

/// What was kept, as it was printed; none where it cannot be read.
fn unsqueezed(kept: &[u8], length: Option<i64>) -> Option<String> {
    let limit = u64::try_from(length?).ok()? + 1;
    let mut text = String::new();
    GzDecoder::new(kept).take(limit).read_to_string(&mut text).ok()?;
    Some(text)
}

/// The style sheet of a report's paper.
pub(in crate::web) async fn paper(web: Data<Web>, number: Path<String>) -> Result<HttpResponse, Problem> {
    let number = read_number(&number)?;
    let row = web.engine.reader().read(move |journal| journal.report(number)).await?;
    let row = row.ok_or_else(|| Problem::missing(&format!("The report {number}")))?;
    Ok(HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, "text/css; charset=utf-8"))
        .insert_header((CACHE_CONTROL, "no-store"))
        .body(paper_css(&row, &web.settings.organisation)))
}

pub(in crate::web) async fn review(
    web: Data<Web>,
    visitor: ReqData<Visitor>,
    number: Path<String>,
    form: FormPairs,
) -> Result<HttpResponse, Problem> {
    let number = read_number(&number)?;
    let form = form.map_err(|why| bad_form(&why))?;
    let note = Fields::form(form.into_inner()).owned("note");
    web.engine.review_report(number, note, visitor.by()).await?;
    Ok(see(&format!("/audit/reports/{number}")))
}

pub(in crate::web) async fn list(
    web: Data<Web>,
    visitor: ReqData<Visitor>,
    request: actix_web::HttpRequest,
) -> Result<HttpResponse, Problem> {
    let fields = Fields::query(request.query_string())?;
    let id = |name: &str| -> Result<Option<i64>, Problem> {
        Ok(fields
            .number(name)?
            .map(|number| i64::try_from(number).unwrap_or(i64::MAX)))
    };
    let cursor = match (id("before")?, id("after")?) {
        (Some(id), _) => Some(Cursor::Before(id)),
        (None, id) => id.map(Cursor::After),
    };
    let page = web
        .engine
        .reader()
        .read(move |journal| journal.reports(cursor, LISTED))
        .await?;
    let clock = web.clock();
    let place = |cursor: Cursor<i64>| {
        let (key, id) = match cursor {
            Cursor::Before(id) => ("before", id),
            Cursor::After(id) => ("after", id),
        };
        format!("/audit/reports{}", to_query([(key, id.to_string().as_str())]))
    };
    html(&ListPage {
        frame: Frame::new(&web, &visitor, "audit", "Audit reports"),
        newer: page.newer.map(place),
        older: page.older.map(place),
        rows: page
            .rows
            .into_iter()
            .map(|row| ListLine {
                number: row.number.to_string(),
                made: clock.when(row.made_at),
                by: row.made_by.to_string(),
                since: clock.when(row.parameters.since),
                until: clock.when(row.parameters.until),
                digest: row.digest.map(|digest| digest.to_string()).unwrap_or_default(),
            })
            .collect(),
    })
}

fn read_number(text: &str) -> Result<ReportNumber, Problem> {
    text.parse().map_err(|_| Problem::missing("That report"))
}

impl ReviewLine {
    fn new(review: ReviewRow, clock: &Clock) -> Self {
        Self {
            up_to: review.up_to,
            by: review.reviewed_by.to_string(),
            at: clock.when(review.reviewed_at),
            note: review.note.unwrap_or_default(),
        }
    }
}

/// The checkpoint of a stamp, for other programs to check.
fn signed(stamp: &ReportStamp) -> Option<Signed> {
    let checkpoint = Checkpoint::read(stamp.checkpoint.as_ref()?).ok()?;
    Some(Signed {
        text: checkpoint.text(),
        signature: checkpoint.signature.clone(),
        pem: checkpoint.key.to_pem(),
    })
}

/// What is printed beside the picture.
fn seal(row: &ReportRow, stamp: Option<&ReportStamp>) -> Vec<(&'static str, String)> {
    let or_none = |value: Option<&String>| value.cloned().unwrap_or_else(|| "none".to_owned());
    let Some(stamp) = stamp else { return Vec::new() };
    vec![
        ("Report", row.number.to_string()),
        ("SHA-256 of what it says", stamp.content.to_string()),
        (
            "Journaled as event",
            row.event_id.map_or_else(|| "none".to_owned(), |id| format!("#{id}")),
        ),
        (
            "Chain's link at the newest event it knows",
            or_none(stamp.link.as_ref()),
        ),
        (
            "Checkpoint",
            row.checkpoint_id.map_or_else(
                || "none".to_owned(),
                |id| format!("{id}, of kind report; it covers that event"),
            ),
        ),
        ("Fingerprint of the key", or_none(stamp.key.as_ref())),
    ]
}

/// The same for a camera.
fn picture(stamp: &ReportStamp) -> Result<String, Problem> {
    let or_none = |value: Option<&String>| value.cloned().unwrap_or_else(|| "-".to_owned());
    let checkpoint = stamp.checkpoint.as_ref().and_then(|line| Checkpoint::read(line).ok());
    let text = format!(
        "quarterdeck {} content {} covers {} link {} checkpoint {} {} key {}",
        stamp.number,
        stamp.content,
        stamp.covers,
        or_none(stamp.link.as_ref()),
        or_none(checkpoint.as_ref().map(|checkpoint| checkpoint.id.to_string()).as_ref()),
        or_none(
            checkpoint
                .as_ref()
                .map(|checkpoint| checkpoint.link.to_string())
                .as_ref()
        ),
        or_none(stamp.key.as_ref()),
    );
    let wrong = |why| Problem::internal(format!("the picture: {why}"));
    let code = QrCode::with_error_correction_level(text.as_bytes(), EcLevel::M).map_err(wrong)?;
    let picture = code.render::<svg::Color<'_>>().min_dimensions(200, 200).build();
    // Inside a page it is an element, not a document.
    Ok(picture
        .split_once("?>")
        .map_or(picture.clone(), |(_, svg)| svg.to_owned()))
}

/// The other parts of a report that was too long for one.
fn parts(row: &ReportRow) -> Vec<Part> {
    let parts = row.summary.as_ref().and_then(|summary| summary["parts"].as_u64());
    let parts = u32::try_from(parts.unwrap_or(1)).unwrap_or(1).min(500);
    let ask = &row.parameters;
    let others = (1..=parts).filter(|part| *part != ask.part);
    others
        .map(|part| Part {
            number: part,
            fields: report_form::fields_of(&ReportAsk {
                part,
                up_to: Some(row.covers),
                ..ask.clone()
            }),
        })
        .collect()
}
