//! What goes wrong around a dashboard, through its front door: disks that fill up, schemas of other versions, clocks that
//! jump, launches that are cut off, results that come late, strangers at the door, and a journal full of old rows.

#[path = "../support/mod.rs"]
mod support;

mod clock;
mod copies;
mod disk;
mod door;
mod evidence;
mod launch;
mod liar;
mod schema;
mod two_users;
mod volume;
