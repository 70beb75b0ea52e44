-- One row: which dashboard this journal belongs to, and its latest start.
CREATE TABLE instance (
    id           INTEGER PRIMARY KEY NOT NULL CHECK (id = 1),
    dashboard_id TEXT NOT NULL,
    start_id     TEXT,
    program      TEXT,
    started_at   TIMESTAMP CHECK (started_at GLOB '????-??-?? ??:??:??*'),
    stopped_at   TIMESTAMP CHECK (stopped_at GLOB '????-??-?? ??:??:??*'),
    restored_at  TIMESTAMP CHECK (restored_at GLOB '????-??-?? ??:??:??*')
);
