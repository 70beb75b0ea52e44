//! What sweeps take is in the archive first: it verifies alone, nothing is lost by a kill or a full disk, and what
//! people want kept stays. Rows grow old by the dashboard's own clock, so that the chain stays what it was.

#[path = "../support/mod.rs"]
mod support;

mod alone;
mod kept;
mod killed;
mod old;
mod places;
mod there;
