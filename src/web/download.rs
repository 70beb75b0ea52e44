//! An export as an answer: it goes out as fast as the other end takes it, batch by batch, and is broken off when nobody
//! takes it any more.

use std::io;

use actix_web::HttpResponse;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use actix_web::web::Bytes;
use futures_util::stream;
use serde_json::{Map, Value};

use crate::domain::{ExportFormat, ExportOf, Invalid, Timestamp};
use crate::engine::{EngineError, Exporting};

/// The answer that carries a file. The first batch is read before anything is answered, so that an export that cannot
/// begin is a plain error. What its range lacks stands in the headers; where it should be there, the file is called
/// incomplete.
pub(super) async fn download(
    mut exporting: Exporting,
    what: ExportOf,
    format: ExportFormat,
) -> Result<HttpResponse, EngineError> {
    let first = exporting.next().await?;
    let time: String = Timestamp::now()
        .to_rfc3339()
        .chars()
        .take(16)
        .filter(|c| *c != ':')
        .collect();
    let damaged = exporting.lacking().iter().any(|lack| lack.damage);
    let end = if damaged { "-INCOMPLETE" } else { "" };
    let name = format!("quarterdeck-{what}-{time}Z{end}.{format}");
    let mut answer = HttpResponse::Ok();
    for lack in exporting.lacking().iter().take(LACKS) {
        let header = if lack.damage {
            "quarterdeck-damaged"
        } else {
            "quarterdeck-not-kept"
        };
        answer.append_header((header, lack.text.escape_default().to_string()));
    }
    Ok(answer
        .insert_header((CONTENT_TYPE, format.media_type()))
        .insert_header((CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\"")))
        .insert_header((CACHE_CONTROL, "no-store"))
        .insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .streaming(stream::try_unfold(
            (exporting, first),
            |(mut exporting, first)| async move {
                let bytes = match first {
                    Some(bytes) => Some(bytes),
                    None => exporting.next().await.map_err(io::Error::other)?,
                };
                // An error ends the connection: a shorter answer would pass for the whole.
                Ok::<_, io::Error>(bytes.map(|bytes| (Bytes::from(bytes), (exporting, None))))
            },
        )))
}

/// Of what is lacking, the head of an answer names so much at most.
const LACKS: usize = 20;

/// The most characters that a filter may have: it stands in the event as it was asked with.
const LONGEST: usize = 500;

/// What was asked with, for the event: filters that were looked at, each once, and refused where they do not fit in.
pub(super) fn asked<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> Result<Value, Invalid> {
    let pairs = pairs.filter(|(name, _)| !["what", "format"].contains(name));
    let pairs = pairs.map(|(name, value)| {
        if value.chars().count() > LONGEST {
            return Err(Invalid::new(name, format!("must have {LONGEST} characters or fewer")));
        }
        Ok((name.to_owned(), Value::from(value)))
    });
    Ok(Value::Object(pairs.collect::<Result<Map<_, _>, _>>()?))
}
