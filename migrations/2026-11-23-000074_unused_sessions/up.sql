-- Sessions that nobody uses any more are forgotten by when they were used last.
CREATE INDEX sessions_seen ON sessions (last_seen_at);
