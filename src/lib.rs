//! Quarterdeck.

pub mod domain;
pub mod executor;
pub mod store;
