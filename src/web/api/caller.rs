//! Who asks, as the guard found it. A handler that the guard does not stand before has no caller and answers 401.

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpMessage as _, HttpRequest};

use crate::engine::By;

use super::problem::Problem;

/// Who asks, as it goes into the journal.
#[derive(Clone, Debug)]
pub struct Caller(pub By);

impl FromRequest for Caller {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let caller = request.extensions().get::<Self>().cloned();
        ready(caller.ok_or_else(|| Problem::unauthorized("who asks is not known")))
    }
}
