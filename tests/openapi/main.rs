//! The API's document and the API itself: each says what the other does. Schemathesis asks everything that the document
//! has, of a real dashboard over the network; what it does not think of is asked here.

#[path = "../support/mod.rs"]
mod support;

mod attacks;
mod conformance;
