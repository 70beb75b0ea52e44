-- How far each place outside has got: forwarding by events, witnesses by checkpoints, notifications by events. A place that
-- is no longer configured keeps its row, so that it goes on from there when it comes back.
CREATE TABLE cursors (
    kind          TEXT NOT NULL CHECK (kind IN ('forward', 'witness', 'notify')),
    name          TEXT NOT NULL,
    target        TEXT NOT NULL,
    active        BOOLEAN NOT NULL DEFAULT 1 CHECK (active IN (0, 1)),
    position      BIGINT NOT NULL CHECK (position >= 0),
    gap_to        BIGINT NOT NULL DEFAULT 0,
    succeeded_at  TIMESTAMP CHECK (succeeded_at GLOB '????-??-?? ??:??:??*'),
    failing_since TIMESTAMP CHECK (failing_since GLOB '????-??-?? ??:??:??*'),
    failed_from   BIGINT,
    failed_at     TIMESTAMP CHECK (failed_at GLOB '????-??-?? ??:??:??*'),
    failure       TEXT,
    announced     BOOLEAN NOT NULL DEFAULT 0 CHECK (announced IN (0, 1)),
    announced_at  TIMESTAMP CHECK (announced_at GLOB '????-??-?? ??:??:??*'),
    PRIMARY KEY (kind, name)
);

-- Which place outside has which checkpoint, and since when. Only added to.
CREATE TABLE witnesses (
    id            INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    name          TEXT NOT NULL,
    checkpoint_id BIGINT NOT NULL,
    event_id      BIGINT NOT NULL,
    at            TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP CHECK (at GLOB '????-??-?? ??:??:??*'),
    UNIQUE (name, checkpoint_id)
);
CREATE INDEX witnesses_event ON witnesses (event_id, id);
