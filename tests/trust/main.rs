//! The log can be trusted: whatever is changed in the database or beside it, by somebody who knows how it is made,
//! `quarterdeck audit verify` finds it and names it. Edits are made as with the `sqlite3` shell, on copies of a journal
//! that a real dashboard wrote.

#[path = "../support/mod.rs"]
mod support;

mod anew;
mod beside;
mod by_hand;
mod edits;
mod held;
mod journal;
mod laundered;
mod noticed;
mod numbers;
mod others;
mod overdue;
mod replayed;
mod standing;
mod swept;
mod tails;
mod witnesses;
