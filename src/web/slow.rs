//! Bodies that take their time: whoever sends one slowly keeps a connection, and there are only so many of those.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use actix_web::body::BoxBody;
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::error::PayloadError;
use actix_web::http::header::{CONTENT_TYPE, HeaderValue};
use actix_web::http::{ConnectionType, StatusCode};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage as _};
use futures_util::{StreamExt as _, stream};
use tokio::time::{Instant, timeout_at};

/// How long a body may take from the end of the header to its own end.
const PATIENCE: Duration = Duration::from_secs(15);

/// For [`actix_web::middleware::from_fn`]: answers 408 where a body has not arrived in time, and ends the connection.
///
/// # Errors
/// When the server itself cannot answer.
pub async fn bodies_in_time(
    mut request: ServiceRequest,
    next: Next<BoxBody>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let payload = request.take_payload();
    if matches!(payload, Payload::None) {
        return next.call(request).await;
    }
    let late = Rc::new(Cell::new(false));
    let arriving = in_time(payload, Instant::now() + PATIENCE, Rc::clone(&late));
    request.set_payload(Payload::Stream {
        payload: Box::pin(arriving),
    });
    let response = next.call(request).await?;
    if !late.get() {
        return Ok(response);
    }
    let mut response = response.map_body(|_, _| BoxBody::new("The request did not arrive in time; send it again.\n"));
    let text = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, text);
    let head = response.response_mut().head_mut();
    head.status = StatusCode::REQUEST_TIMEOUT;
    head.set_connection_type(ConnectionType::Close);
    Ok(response)
}

/// What arrives of a body until then; after that only that it was late.
fn in_time(
    payload: Payload,
    until: Instant,
    late: Rc<Cell<bool>>,
) -> impl futures_util::Stream<Item = Result<actix_web::web::Bytes, PayloadError>> {
    stream::unfold((payload, late), move |(mut payload, late)| async move {
        let next = match timeout_at(until, payload.next()).await {
            Ok(next) => next?,
            Err(_) => {
                late.set(true);
                Err(PayloadError::Io(std::io::ErrorKind::TimedOut.into()))
            }
        };
        Some((next, (payload, late)))
    })
}
