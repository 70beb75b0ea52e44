-- Each event carries the link of a hash chain: SHA-256(previous link, SHA-256(canonical row)); the form is in
-- src/domain/chain.rs. A link covers what the row says, so nothing of it changes any more: what an event is about keeps
-- its id when that was swept, and so refers to no row. A link of zeros is computed at the next start (rows from before
-- this migration).
CREATE TABLE events_linked (
    id          INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    timestamp   TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP CHECK (timestamp GLOB '????-??-?? ??:??:??*'),
    category    TEXT NOT NULL CHECK (category IN ('audit', 'system', 'error')),
    level       TEXT NOT NULL CHECK (level IN ('info', 'warn', 'error', 'success')),
    actor       TEXT NOT NULL,
    host_id     BIGINT REFERENCES hosts (id),
    action      TEXT NOT NULL,
    message     TEXT NOT NULL,
    details     TEXT,
    command_id  TEXT,
    pipeline_id TEXT,
    link        BLOB NOT NULL DEFAULT (zeroblob(32)) CHECK (length(link) = 32)
);
INSERT INTO events_linked (id, timestamp, category, level, actor, host_id, action, message, details, command_id, pipeline_id)
SELECT id, timestamp, category, level, actor, host_id, action, message, details, command_id, pipeline_id FROM event_log ORDER BY id;
-- Ids are never used again, also those of events that were swept.
UPDATE sqlite_sequence SET seq = (SELECT seq FROM sqlite_sequence WHERE name = 'event_log')
WHERE name = 'events_linked' AND EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = 'event_log');
DROP TABLE event_log;
ALTER TABLE events_linked RENAME TO event_log;
CREATE INDEX event_log_timestamp ON event_log (timestamp, id);
CREATE INDEX event_log_category ON event_log (category, id);
CREATE INDEX event_log_level ON event_log (level, id);
CREATE INDEX event_log_actor ON event_log (actor, id);
CREATE INDEX event_log_action ON event_log (action, id);
CREATE INDEX event_log_host ON event_log (host_id, id) WHERE host_id IS NOT NULL;
CREATE INDEX event_log_command ON event_log (command_id, id) WHERE command_id IS NOT NULL;
CREATE INDEX event_log_pipeline ON event_log (pipeline_id, id) WHERE pipeline_id IS NOT NULL;
CREATE INDEX event_log_category_level ON event_log (category, level, id);

-- What a sweep removed from between events that stay: the link of the next one still verifies, the content is gone.
CREATE TABLE swept_events (
    id       INTEGER PRIMARY KEY NOT NULL,
    row_hash BLOB NOT NULL CHECK (length(row_hash) = 32),
    link     BLOB NOT NULL CHECK (length(link) = 32)
);

CREATE TRIGGER event_log_is_not_rewritten BEFORE UPDATE OF id, timestamp, category, level, actor, host_id, action, message,
    details, command_id, pipeline_id ON event_log
BEGIN SELECT RAISE(ABORT, 'events are not rewritten'); END;
CREATE TRIGGER event_log_is_linked_once BEFORE UPDATE OF link ON event_log WHEN old.link <> zeroblob(32)
BEGIN SELECT RAISE(ABORT, 'events are not rewritten'); END;
CREATE TRIGGER event_log_is_only_swept BEFORE DELETE ON event_log
WHEN NOT EXISTS (SELECT 1 FROM swept_events WHERE id = old.id)
BEGIN SELECT RAISE(ABORT, 'events are removed by sweeps alone'); END;

-- Public keys with which checkpoints were signed, as hex; fingerprint: their SHA-256.
CREATE TABLE checkpoint_keys (
    fingerprint TEXT PRIMARY KEY NOT NULL CHECK (length(fingerprint) = 64),
    public      TEXT NOT NULL CHECK (length(public) = 64),
    made_at     TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP CHECK (made_at GLOB '????-??-?? ??:??:??*')
);

-- Signed statements of how far the chain had come; the signed text is in src/domain/checkpoint.rs.
CREATE TABLE checkpoints (
    id        INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    made_at   TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP CHECK (made_at GLOB '????-??-?? ??:??:??*'),
    kind      TEXT NOT NULL,
    event_id  BIGINT NOT NULL,
    events    BIGINT NOT NULL,
    link      BLOB NOT NULL CHECK (length(link) = 32),
    details   TEXT,
    key       TEXT NOT NULL REFERENCES checkpoint_keys (fingerprint),
    signature TEXT NOT NULL CHECK (length(signature) = 128)
);
CREATE INDEX checkpoints_event ON checkpoints (event_id, id);
-- A checkpoint that says where a shortened log begins.
CREATE INDEX checkpoints_base ON checkpoints (id) WHERE kind = 'sweep';

-- What swept events said of commands and pipelines that are still kept: the digest of the row, the newest counts.
-- Signed, as a whole, by the checkpoint of the sweep; none while that sweep is under way.
CREATE TABLE sealed (
    id            INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    what          TEXT NOT NULL,
    digest        TEXT NOT NULL CHECK (length(digest) = 64),
    checkpoint_id BIGINT REFERENCES checkpoints (id)
);
CREATE INDEX sealed_what ON sealed (what, id);
CREATE INDEX sealed_checkpoint ON sealed (checkpoint_id, id);
