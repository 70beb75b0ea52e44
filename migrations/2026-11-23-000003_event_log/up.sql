-- Who did what to what, when. Rows are added and swept, never rewritten (a swept command's id is taken out of its events).
CREATE TABLE event_log (
    id          INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    timestamp   TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP CHECK (timestamp GLOB '????-??-?? ??:??:??*'),
    category    TEXT NOT NULL CHECK (category IN ('audit', 'system', 'error')),
    level       TEXT NOT NULL CHECK (level IN ('info', 'warn', 'error', 'success')),
    actor       TEXT NOT NULL,
    host_id     BIGINT REFERENCES hosts (id),
    action      TEXT NOT NULL,
    message     TEXT NOT NULL,
    details     TEXT,
    command_id  TEXT REFERENCES commands (id),
    pipeline_id TEXT REFERENCES pipelines (id)
);
CREATE INDEX event_log_timestamp ON event_log (timestamp, id);
CREATE INDEX event_log_category ON event_log (category, id);
CREATE INDEX event_log_level ON event_log (level, id);
CREATE INDEX event_log_actor ON event_log (actor, id);
CREATE INDEX event_log_action ON event_log (action, id);
CREATE INDEX event_log_host ON event_log (host_id, id) WHERE host_id IS NOT NULL;
CREATE INDEX event_log_command ON event_log (command_id, id) WHERE command_id IS NOT NULL;
CREATE INDEX event_log_pipeline ON event_log (pipeline_id, id) WHERE pipeline_id IS NOT NULL;
