//! Audit reports: one is made by a form, and shown on one page made for paper. What it says was drawn once, when it was
//! made, and is shown byte for byte as it was; only what stands around it (digest, reviews, what was swept since) is of
//! today.

pub(in crate::web) mod access;
mod annex;
mod content;
mod cover;
mod flows;
pub(in crate::web) mod form;
mod gather;
mod head;
mod held;
mod known;
pub(in crate::web) mod list;
mod make;
mod said;
mod said_flows;
mod sheet;
mod take;
mod walk;

use std::io::Read as _;

use actix_web::HttpResponse;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE};
use actix_web::web::{Data, Form, Path, ReqData};
use askama::Template;
use flate2::read::GzDecoder;
use qrcode::render::svg;
use qrcode::{EcLevel, QrCode};

use crate::domain::{Checkpoint, Digest, ReportNumber, ReportStamp, report_stamp};
use crate::engine::{By, EngineError};
use crate::store::{Journal, ReportRow, ReviewRow};

use super::super::assets;
use super::super::clock::{Clock, When};
use super::super::error::{Problem, bad_form};
use super::super::fields::Fields;
use super::super::frame::{Frame, html, see};
use super::super::{Visitor, Web};
use make::{Desk, blocking};

type FormPairs = Result<Form<Vec<(String, String)>>, actix_web::Error>;

#[derive(Template)]
#[template(path = "report/report.html")]
struct ReportPage {
    frame: Frame,
    sheet: Sheet,
    may_review: bool,
    /// Who made it does not review it.
    is_maker: bool,
    /// The other parts of it, each made by a form.
    parts: Vec<u32>,
}

/// The same as one file that needs nothing else.
#[derive(Template)]
#[template(path = "report/file.html")]
struct ReportFile {
    sheet: Sheet,
    style: String,
    paper: String,
}

/// A report as it is on paper.
struct Sheet {
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

/// How to check it without this program: sqlite3 and hashlib of Python, and openssl.
const CHECK: &str = include_str!("../../../templates/report/check.txt");

pub(in crate::web) async fn make(
    web: Data<Web>,
    visitor: ReqData<Visitor>,
    form: FormPairs,
) -> Result<HttpResponse, Problem> {
    let sent = form.map_err(|why| bad_form(&why))?;
    let fields = Fields::form(sent.into_inner());
    match made(&web, &fields, visitor.by()).await {
        Ok(row) => Ok(see(&format!("/audit/reports/{}", row.number))),
        Err(EngineError::Invalid(wrong)) => form::again(&web, &visitor, &fields, wrong).await,
        Err(why) => Err(why.into()),
    }
}

/// Makes the report that these fields ask for: for a page, and for a program.
pub(in crate::web) async fn made(web: &Web, fields: &Fields, by: By) -> Result<ReportRow, EngineError> {
    let ask = form::read(fields, web).await?;
    let desk = Desk {
        engine: &web.engine,
        zone: web.settings.zone.clone(),
        organisation: web.settings.organisation.clone(),
    };
    desk.make(ask, by).await
}

pub(in crate::web) async fn show(
    web: Data<Web>,
    visitor: ReqData<Visitor>,
    number: Path<String>,
) -> Result<HttpResponse, Problem> {
    let number = read_number(&number)?;
    let sheet = Sheet::read(&web, number).await?.ok_or_else(|| missing(number))?;
    let reader = visitor.actor.to_string();
    html(&ReportPage {
        frame: Frame::new(&web, &visitor, "audit", format!("Audit report {}", sheet.row.number)),
        is_maker: sheet.row.made_by == visitor.actor,
        may_review: sheet.row.digest.is_some()
            && sheet.row.made_by != visitor.actor
            && !sheet.reviews.iter().any(|seen| seen.by == reader),
        parts: parts(&sheet.row),
        sheet,
    })
}

/// The same, to be kept: content and stamp are what `audit verify --report` reads.
pub(in crate::web) async fn file(web: Data<Web>, number: Path<String>) -> Result<HttpResponse, Problem> {
    let number = read_number(&number)?;
    let page = saved(&web, number).await?.ok_or_else(|| missing(number))?;
    let name = format!("attachment; filename=\"{number}.html\"");
    Ok(HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, "text/html; charset=utf-8"))
        .insert_header((CACHE_CONTROL, "no-store"))
        .insert_header((CONTENT_DISPOSITION, name))
        .body(page))
}

/// A report as one file that needs nothing else; none of this number.
pub(in crate::web) async fn saved(web: &Web, number: ReportNumber) -> Result<Option<String>, EngineError> {
    let Some(sheet) = Sheet::read(web, number).await? else {
        return Ok(None);
    };
    let page = ReportFile {
        style: ["app.css", "print.css"].map(assets::text).concat(),
        paper: sheet::paper_css(&sheet.row, &web.settings.organisation),
        sheet,
    };
    let page = page.render();
    page.map(Some)
        .map_err(|why| EngineError::Internal(format!("the report could not be drawn: {why}")))
}

fn missing(number: ReportNumber) -> Problem {
    Problem::swept(&format!("The report {number}"))
}

impl Sheet {
    async fn read(web: &Web, number: ReportNumber) -> Result<Option<Self>, EngineError> {
        let read = move |journal: &mut Journal| {
            let Some(row) = journal.report(number)? else {
                return Ok(None);
            };
            let kept = journal.report_content(row.id)?;
            let reviews = journal.reviews_of(row.id)?;
            Ok(Some((
                row,
                kept,
                reviews,
                journal.oldest_event()?,
                journal.last_witness()?,
            )))
        };
        let found = web.engine.reader().read(read).await?;
        let Some((row, kept, reviews, oldest, witness)) = found else {
            return Ok(None);
        };
        let (length, is_kept) = (row.content_bytes, kept.is_some());
        let content = blocking(move || Ok(kept.and_then(|kept| unsqueezed(&kept, length)))).await?;
        let clock = web.clock();
        let digest = row.digest.as_ref().map(ToString::to_string).unwrap_or_default();
        // A copy that cannot be read is one that was altered.
        let same = |text: &String| Digest::of(text.as_bytes()).to_string() == digest;
        let stamp = row.stamp.clone().unwrap_or_default();
        let said = stamp.parse::<ReportStamp>().ok();
        let first = said.as_ref().and_then(|stamp| stamp.first_event);
        // A checkpoint outside that covers the report's own event vouches for its digest.
        let witness = witness
            .filter(|witness| row.event_id.is_some_and(|event| event <= witness.event_id))
            .map(|witness| format!("{}, since {} at the latest", witness.name, clock.when(witness.at).full));
        Ok(Some(Self {
            made: clock.when(row.made_at),
            begin: report_stamp::BEGIN,
            end: report_stamp::END,
            intact: !is_kept || content.as_ref().is_some_and(same),
            swept: first.is_some_and(|first| oldest.is_none_or(|(oldest, _)| oldest > first)),
            seal: seal(&row, said.as_ref(), witness),
            picture: said.as_ref().map(picture).transpose()?.unwrap_or_default(),
            checkpoint: said.as_ref().and_then(signed),
            check: CHECK.replace("COVERS", &row.covers.to_string()),
            reviews: reviews
                .into_iter()
                .map(|review| ReviewLine::new(review, &clock))
                .collect(),
            content,
            digest,
            stamp,
            row,
        }))
    }
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
    let row = row.ok_or_else(|| missing(number))?;
    Ok(HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, "text/css; charset=utf-8"))
        .insert_header((CACHE_CONTROL, "no-store"))
        .body(sheet::paper_css(&row, &web.settings.organisation)))
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

fn read_number(text: &str) -> Result<ReportNumber, Problem> {
    text.parse().map_err(|_| Problem::swept("That report"))
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
fn seal(row: &ReportRow, stamp: Option<&ReportStamp>, witness: Option<String>) -> Vec<(&'static str, String)> {
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
        (
            "Outside witness of this report",
            witness.unwrap_or_else(|| "none so far".to_owned()),
        ),
    ]
}

/// The same for a camera.
fn picture(stamp: &ReportStamp) -> Result<String, EngineError> {
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
    let wrong = |why| EngineError::Internal(format!("the picture: {why}"));
    let code = QrCode::with_error_correction_level(text.as_bytes(), EcLevel::M).map_err(wrong)?;
    let picture = code.render::<svg::Color<'_>>().min_dimensions(200, 200).build();
    // Inside a page it is an element, not a document.
    Ok(picture
        .split_once("?>")
        .map_or(picture.clone(), |(_, svg)| svg.to_owned()))
}

/// The other parts of a report that was too long for one.
fn parts(row: &ReportRow) -> Vec<u32> {
    let parts = row.summary.as_ref().and_then(|summary| summary["parts"].as_u64());
    let parts = u32::try_from(parts.unwrap_or(1)).unwrap_or(1).min(500);
    (1..=parts).filter(|part| *part != row.parameters.part).collect()
}
