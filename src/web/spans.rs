//! One tracing span for each request: method, route pattern, status and request id. Never the path, the
//! query or a header: one-time keys and host names stay out of the program's own log.

use actix_web::Error;
use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use tracing_actix_web::{RequestId, RootSpanBuilder};
use uuid::Uuid;

use super::entry::pattern;

/// Builds the spans; `app` wraps the server in `TracingLogger::<Spans>::new()`.
pub struct Spans;

impl RootSpanBuilder for Spans {
    fn on_request_start(request: &ServiceRequest) -> tracing::Span {
        use actix_web::HttpMessage as _;
        let id = request
            .extensions()
            .get::<RequestId>()
            .map_or_else(Uuid::nil, |id| **id);
        let route = pattern(request);
        tracing::info_span!(
            "request",
            method = %request.method(),
            route = route.as_deref().unwrap_or("(none)"),
            request_id = %id,
            status = tracing::field::Empty,
        )
    }

    fn on_request_end<B: MessageBody>(span: tracing::Span, outcome: &Result<ServiceResponse<B>, Error>) {
        let status = match outcome {
            Ok(response) => response.status().as_u16(),
            Err(error) => error.as_response_error().status_code().as_u16(),
        };
        span.record("status", status);
        span.in_scope(|| tracing::debug!(status, "answered"));
    }
}
