-- Audit reports. A row is never deleted, so that no number is ever used again. What was printed is kept beside it as
-- it was printed (gzip), until `report.keep_days` are over; digest and stamp stay.
CREATE TABLE reports (
    id            INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    number        TEXT NOT NULL UNIQUE,
    made_at       TIMESTAMP NOT NULL CHECK (made_at GLOB '????-??-?? ??:??:??*'),
    made_by       TEXT NOT NULL,
    address       TEXT,
    parameters    TEXT NOT NULL,
    paper         TEXT NOT NULL CHECK (paper IN ('a4', 'letter')),
    -- The newest event when it was begun: it knows nothing above.
    covers        BIGINT NOT NULL,
    -- All of these are set together, when it is whole.
    summary       TEXT,
    digest        TEXT,
    content_bytes BIGINT,
    event_id      BIGINT,
    stamp         TEXT,
    -- The checkpoint that was made with it.
    checkpoint_id BIGINT,
    CHECK ((digest IS NULL) = (summary IS NULL) AND (digest IS NULL) = (event_id IS NULL))
);

-- What was printed, apart: lists of reports never read it.
CREATE TABLE report_contents (
    report_id  INTEGER PRIMARY KEY NOT NULL REFERENCES reports (id),
    made_at    TIMESTAMP NOT NULL CHECK (made_at GLOB '????-??-?? ??:??:??*'),
    gzip       BLOB NOT NULL
);
CREATE INDEX report_contents_age ON report_contents (made_at);

-- Who has looked at a report, and so at every event up to a number.
CREATE TABLE reviews (
    id          INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    report_id   BIGINT NOT NULL REFERENCES reports (id),
    up_to       BIGINT NOT NULL,
    reviewed_by TEXT NOT NULL,
    reviewed_at TIMESTAMP NOT NULL CHECK (reviewed_at GLOB '????-??-?? ??:??:??*'),
    note        TEXT,
    UNIQUE (report_id, reviewed_by)
);
