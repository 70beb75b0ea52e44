//! Quarterdeck.

pub mod domain;
pub mod executor;
