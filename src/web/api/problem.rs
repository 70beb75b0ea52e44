//! Errors of the API as problem details (RFC 9457): one place where they become HTTP.
//!
//! A program branches on `status` and `type`, a person reads `detail`: what, why, what to do next.

use std::fmt;

use actix_web::http::StatusCode;
use actix_web::http::header::RETRY_AFTER;
use actix_web::{HttpResponse, ResponseError};
use serde::Serialize;
use utoipa::{IntoResponses, ToSchema};

use crate::domain::Invalid;
use crate::engine::EngineError;
use crate::store::ReadError;

/// What is answered instead of what was asked for.
#[derive(Debug, Serialize, ToSchema)]
pub struct Problem {
    /// A name of the kind of problem, under `urn:quarterdeck:`.
    #[serde(rename = "type")]
    kind: &'static str,
    /// What kind of problem it is, for a reader.
    title: &'static str,
    /// The status of the answer.
    #[schema(minimum = 400, maximum = 599)]
    status: u16,
    /// What is wrong, why, and what to do next.
    detail: String,
    /// The key, parameter or header that cannot be taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    field: Option<String>,
    /// For the header `Retry-After`, in seconds.
    #[serde(skip)]
    retry_after: Option<i64>,
}

/// The answer of a request that was understood and comes at the wrong time; for the API's document.
#[derive(IntoResponses)]
#[response(
    status = 409,
    description = "The present state does not allow it.",
    content_type = "application/problem+json"
)]
pub(super) struct Conflict(#[expect(dead_code, reason = "read for its type")] Problem);

impl Problem {
    fn new(status: StatusCode, kind: &'static str, title: &'static str, detail: impl Into<String>) -> Self {
        Self {
            kind,
            title,
            status: status.as_u16(),
            detail: detail.into(),
            field: None,
            retry_after: None,
        }
    }

    pub(super) fn invalid(field: impl Into<String>, problem: impl Into<String>) -> Self {
        Invalid::new(field, problem).into()
    }

    pub(super) fn malformed(detail: impl Into<String>) -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "urn:quarterdeck:malformed",
            "The request cannot be read",
            detail,
        )
    }

    pub(super) fn too_large(limit: usize) -> Self {
        Self::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "urn:quarterdeck:too-large",
            "The request is too large",
            format!("a body may have {} KiB", limit / 1024),
        )
    }

    pub(super) fn not_found(detail: impl Into<String>) -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "urn:quarterdeck:not-found",
            "There is no such thing",
            detail,
        )
    }

    pub(super) fn unauthorized(detail: impl Into<String>) -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "urn:quarterdeck:unauthorized",
            "Who asks is not known",
            detail,
        )
    }

    pub(super) fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "urn:quarterdeck:forbidden",
            "Whoever asks may not do that",
            detail,
        )
    }

    pub(super) fn too_many(detail: impl Into<String>, retry_after: Option<i64>) -> Self {
        Self {
            retry_after,
            ..Self::new(
                StatusCode::TOO_MANY_REQUESTS,
                "urn:quarterdeck:too-many",
                "Too many attempts",
                detail,
            )
        }
    }

    /// A cursor that no page gave.
    pub(super) fn bad_cursor() -> Self {
        Self {
            field: Some("cursor".to_owned()),
            ..Self::malformed("cursor: is none that a page gave as its “next”; leave it away to begin anew")
        }
    }

    pub(super) fn no_such_range(length: u64) -> Self {
        Self {
            field: Some("Range".to_owned()),
            ..Self::new(
                StatusCode::RANGE_NOT_SATISFIABLE,
                "urn:quarterdeck:range",
                "There are no such bytes",
                format!("the output has {length} bytes so far"),
            )
        }
    }

    pub(super) fn other_type() -> Self {
        Self {
            field: Some("Content-Type".to_owned()),
            ..Self::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "urn:quarterdeck:media-type",
                "The body is of another type",
                "Content-Type: bodies are JSON: send the header “Content-Type: application/json”",
            )
        }
    }

    pub(super) fn other_method(method: &str) -> Self {
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "urn:quarterdeck:method",
            "This address takes other methods",
            format!("{method} is not taken here; /api/docs lists what is"),
        )
    }

    pub(super) fn is_conflict(&self) -> bool {
        self.status == StatusCode::CONFLICT.as_u16()
    }

    pub(super) fn failed(detail: String) -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "urn:quarterdeck:internal",
            "The dashboard failed",
            detail,
        )
    }

    /// True where somebody was refused what they asked for. What is merely mistyped is none.
    pub(super) fn is_refusal(&self) -> bool {
        (400..500).contains(&self.status) && !matches!(self.status, 400 | 422)
    }

    pub(super) fn kind(&self) -> &'static str {
        self.kind
    }

    pub(super) fn detail(&self) -> &str {
        &self.detail
    }
}

impl From<Invalid> for Problem {
    fn from(invalid: Invalid) -> Self {
        let mut problem = Self::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "urn:quarterdeck:invalid",
            "A value cannot be taken",
            invalid.to_string(),
        );
        problem.field = Some(invalid.field);
        problem
    }
}

impl From<EngineError> for Problem {
    fn from(why: EngineError) -> Self {
        let detail = why.to_string();
        match why {
            EngineError::Invalid(invalid) => invalid.into(),
            EngineError::UnknownOp { .. } => Self {
                field: Some("op".to_owned()),
                ..Self::not_found(detail)
            },
            EngineError::UnknownHost(_) => Self {
                field: Some("host".to_owned()),
                ..Self::not_found(detail)
            },
            EngineError::UnknownPipelineName { .. } => Self {
                field: Some("name".to_owned()),
                ..Self::not_found(detail)
            },
            EngineError::UnknownCommand(_) | EngineError::UnknownPipeline(_) | EngineError::Unknown(_) => {
                Self::not_found(detail)
            }
            EngineError::Forbidden(why) => Self::forbidden(why),
            EngineError::StepUp => Self {
                kind: "urn:quarterdeck:step-up",
                ..Self::forbidden(detail)
            },
            EngineError::TooMany { why, again } => Self::too_many(why, Some(again)),
            EngineError::Conflict(_) => Self::new(
                StatusCode::CONFLICT,
                "urn:quarterdeck:conflict",
                "The present state does not allow it",
                detail,
            ),
            EngineError::Unavailable(_) => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "urn:quarterdeck:unavailable",
                "The journal cannot be written now",
                detail,
            ),
            EngineError::Internal(_) => Self::failed(detail),
        }
    }
}

impl From<ReadError> for Problem {
    fn from(why: ReadError) -> Self {
        Self::failed(why.to_string())
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn error_response(&self) -> HttpResponse {
        if self.status >= 500 {
            tracing::error!(status = self.status, detail = self.detail, "a request failed");
        }
        let mut answer = HttpResponse::build(self.status_code());
        if self.status == StatusCode::UNAUTHORIZED.as_u16() {
            answer.insert_header(("www-authenticate", "Bearer"));
        }
        if let Some(seconds) = self.retry_after {
            answer.insert_header((RETRY_AFTER, seconds));
        }
        answer
            .content_type("application/problem+json")
            .body(serde_json::to_vec(self).unwrap_or_default())
    }
}
