//! The two doors.
pub mod api;
mod links;
pub use links::Links;
