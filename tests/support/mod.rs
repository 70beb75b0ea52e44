//! What several test files start: real servers on free ports, ended by their pid.

// What one test file leaves unused, another one uses.
#![allow(dead_code)]

pub(crate) mod sshd;
