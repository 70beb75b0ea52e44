//! The bytes that a command wrote: whole, or a range of them while it still writes.

use actix_web::HttpResponse;
use actix_web::body::SizedStream;
use actix_web::http::header::{self, ContentRange, ContentRangeSpec, Header as _, Range, TryIntoHeaderValue as _};
use actix_web::web::{Bytes, Data, Path, block};
use actix_web::{HttpRequest, ResponseError as _, http::StatusCode};
use futures_util::stream;

use crate::domain::CommandId;
use crate::store::output;

use super::Api;
use super::caller::Caller;
use super::commands;
use super::filters::OneCommand;
use super::problem::Problem;

/// How much is read from the disk at a time.
const PIECE: u64 = 256 * 1024;

#[utoipa::path(get, path = "/api/v1/commands/{id}/output", operation_id = "readOutput", tag = "Commands",
    summary = "Reads what a command wrote.", description = "Whole, or one range of its bytes while it still writes.",
    params(OneCommand,
        ("Range" = Option<String>, Header, description = "`bytes=FROM-` or `bytes=FROM-TO`; anything else is answered with the whole.", example = "bytes=0-1023")),
    responses((status = 200, description = "The whole output.", body = String, content_type = "application/octet-stream"),
        (status = 206, description = "A range of it, with `Content-Range`.", body = String, content_type = "application/octet-stream"),
        (status = 416, description = "There are no such bytes; `Content-Range` has the length.", body = Problem, content_type = "application/problem+json")),
)]
pub(super) async fn read(
    api: Data<Api>,
    _: Caller,
    id: Path<String>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let row = commands::find(&api, &id).await?;
    let length = length(&api, row.id).await?;
    let (status, range) = match Range::parse(&request) {
        // Several ranges, or other units: the whole is a correct answer.
        Ok(Range::Bytes(ranges)) if ranges.len() == 1 => match ranges[0].to_satisfiable_range(length) {
            Some((from, last)) => (StatusCode::PARTIAL_CONTENT, Some((from, last))),
            None => {
                let mut answer = Problem::no_such_range(length).error_response();
                let header = content_range(None, length).try_into_value();
                if let Ok(header) = header {
                    answer.headers_mut().insert(header::CONTENT_RANGE, header);
                }
                return Ok(answer);
            }
        },
        Ok(_) | Err(_) => (StatusCode::OK, length.checked_sub(1).map(|last| (0, last))),
    };
    let mut response = HttpResponse::build(status);
    response
        .content_type("application/octet-stream")
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((header::ACCEPT_RANGES, "bytes"))
        .insert_header((header::CACHE_CONTROL, "no-store"));
    if status == StatusCode::PARTIAL_CONTENT {
        response.insert_header(content_range(range, length));
    }
    let Some((from, last)) = range else {
        return Ok(response.finish());
    };
    Ok(response.body(SizedStream::new(
        last + 1 - from,
        Box::pin(pieces(api, row.id, from, last + 1)),
    )))
}

fn content_range(range: Option<(u64, u64)>, length: u64) -> ContentRange {
    ContentRange(ContentRangeSpec::Bytes {
        range,
        instance_length: Some(length),
    })
}

async fn length(api: &Data<Api>, id: CommandId) -> Result<u64, Problem> {
    let api = api.clone();
    let length = block(move || output::length(api.engine.data_dir(), id)).await;
    length
        .map_err(|why| Problem::failed(why.to_string()))?
        .map_err(|why| Problem::failed(format!("the output cannot be read: {why}")))
}

/// The bytes from `from` up to `to`, piece by piece. A file that has become shorter ends the
/// connection: a shorter answer would pass for the whole.
fn pieces(
    api: Data<Api>,
    id: CommandId,
    from: u64,
    to: u64,
) -> impl stream::Stream<Item = Result<Bytes, std::io::Error>> {
    stream::try_unfold(from, move |at| {
        let api = api.clone();
        async move {
            if at >= to {
                return Ok(None);
            }
            let read = block(move || output::read_range(api.engine.data_dir(), id, at, to.min(at + PIECE))).await;
            let bytes = read.map_err(std::io::Error::other)??;
            if bytes.is_empty() {
                return Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof));
            }
            let next = at + bytes.len() as u64;
            Ok(Some((Bytes::from(bytes), next)))
        }
    })
}
