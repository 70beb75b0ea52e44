//! One line of the table of URLs: method, address, what it takes to be answered, who answers.
//!
//! The table *is* the registration, so no URL can be served that nobody listed; and what is asked for is looked up in
//! it by the same decoded path by which it will be routed, so that no other spelling of an address takes less.

use std::sync::Arc;

use actix_web::HttpMessage as _;
use actix_web::Route;
use actix_web::dev::ServiceRequest;
use actix_web::http::Method;

use crate::domain::Ask;

/// What it takes to be answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Need {
    /// Nothing: how to get in, and what is needed to show that.
    Open,
    /// To be somebody who may do this, at least somewhere; the engine looks again, at the hosts.
    May(Ask),
}

/// See the module.
pub(super) struct Entry {
    pub(super) method: Method,
    pub(super) path: &'static str,
    pub(super) need: Need,
    pub(super) route: fn() -> Route,
}

/// One line of the table.
pub(super) const fn at(method: Method, path: &'static str, need: Need, route: fn() -> Route) -> Entry {
    Entry {
        method,
        path,
        need,
        route,
    }
}

impl Entry {
    /// The route as it is registered.
    pub(super) fn route(&self) -> Route {
        (self.route)().method(self.method.clone())
    }
}

/// What the table says of a request.
pub(super) enum Listed {
    /// Its line.
    At(&'static Entry),
    /// The address is listed with other methods only.
    OtherMethod,
    /// Nobody listed it: it is denied.
    Nowhere,
}

/// What [`pattern`] found.
#[derive(Clone)]
struct Pattern(Option<Arc<str>>);

/// The address as the table has it (`/hosts/{name}`). Found by walking the table, so it is kept with the request.
pub(super) fn pattern(request: &ServiceRequest) -> Option<Arc<str>> {
    let found = request.extensions().get::<Pattern>().cloned();
    let found = found.unwrap_or_else(|| {
        // By the path as the router has decoded it, not as it was written.
        let found = request.resource_map().match_pattern(request.match_info().as_str());
        let found = Pattern(found.map(Arc::from));
        request.extensions_mut().insert(found.clone());
        found
    });
    found.0
}

/// Looks a request up.
pub(super) fn listed(table: &'static [Entry], request: &ServiceRequest) -> Listed {
    let Some(pattern) = pattern(request) else {
        return Listed::Nowhere;
    };
    let mut at = table.iter().filter(|entry| *entry.path == *pattern).peekable();
    if at.peek().is_none() {
        return Listed::Nowhere;
    }
    match at.find(|entry| entry.method == *request.method()) {
        Some(entry) => Listed::At(entry),
        None => Listed::OtherMethod,
    }
}

/// The methods that an address is listed with, as the header `Allow` has them.
pub(super) fn methods(table: &'static [Entry], request: &ServiceRequest) -> String {
    let pattern = pattern(request);
    let at = table.iter().filter(|entry| Some(entry.path) == pattern.as_deref());
    let methods: Vec<&str> = at.map(|entry| entry.method.as_str()).collect();
    methods.join(", ")
}
