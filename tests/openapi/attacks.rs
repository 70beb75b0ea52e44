//! What schemathesis does not think of.
