//! The reports that were made.

use actix_web::web::{Data, ReqData};
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;

use crate::store::Cursor;
use crate::web::clock::When;
use crate::web::error::Problem;
use crate::web::fields::{Fields, to_query};
use crate::web::frame::{Frame, html};
use crate::web::{Visitor, Web};

/// Reports on one page of their list.
const LISTED: i64 = 100;

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

pub(in crate::web) async fn show(
    web: Data<Web>,
    visitor: ReqData<Visitor>,
    request: HttpRequest,
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
