-- Who wants a command or a pipeline kept, since when, and why: no sweep takes it, nor its events.
ALTER TABLE commands ADD COLUMN kept_by TEXT;
ALTER TABLE commands ADD COLUMN kept_at TIMESTAMP CHECK (kept_at GLOB '????-??-?? ??:??:??*');
ALTER TABLE commands ADD COLUMN kept_reason TEXT;
ALTER TABLE pipelines ADD COLUMN kept_by TEXT;
ALTER TABLE pipelines ADD COLUMN kept_at TIMESTAMP CHECK (kept_at GLOB '????-??-?? ??:??:??*');
ALTER TABLE pipelines ADD COLUMN kept_reason TEXT;
-- Those of an event, or of a command, are looked for among few.
CREATE INDEX commands_kept ON commands (id) WHERE kept_at IS NOT NULL;
CREATE INDEX pipelines_kept ON pipelines (id) WHERE kept_at IS NOT NULL;
-- The newest SUCCESS of each host and op stays: whether there is a newer one is asked of this index alone.
CREATE INDEX commands_success ON commands (host_id, op, id) WHERE status = 'SUCCESS';

-- Ranges of time of which nothing is swept. Rows stay when a hold is released: they are part of what happened.
CREATE TABLE holds (
    id             INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    from_at        TIMESTAMP NOT NULL CHECK (from_at GLOB '????-??-?? ??:??:??*'),
    until_at       TIMESTAMP CHECK (until_at GLOB '????-??-?? ??:??:??*'),
    reason         TEXT NOT NULL,
    placed_by      TEXT NOT NULL,
    placed_at      TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP CHECK (placed_at GLOB '????-??-?? ??:??:??*'),
    released_by    TEXT,
    released_at    TIMESTAMP CHECK (released_at GLOB '????-??-?? ??:??:??*'),
    release_reason TEXT,
    CHECK (until_at IS NULL OR until_at > from_at),
    CHECK ((released_at IS NULL) = (released_by IS NULL))
);
CREATE INDEX holds_standing ON holds (id) WHERE released_at IS NULL;

-- Events of category audit may be kept longer; and after gone_until no event is missing from the table.
ALTER TABLE sweeps ADD COLUMN audit_before TIMESTAMP CHECK (audit_before GLOB '????-??-?? ??:??:??*');
ALTER TABLE sweeps ADD COLUMN gone_until TIMESTAMP CHECK (gone_until GLOB '????-??-?? ??:??:??*');
UPDATE sweeps SET audit_before = events_before, gone_until = events_before;
ALTER TABLE sweeps ADD COLUMN archive_before TIMESTAMP CHECK (archive_before GLOB '????-??-?? ??:??:??*');
UPDATE sweeps SET archive_before = strftime('%Y-%m-%d %H:%M:%f000', swept_at, '-400 days');
