-- Machines that ops run on. Never deleted: history keeps its host (removed_at), and the same name revives the row.
CREATE TABLE hosts (
    id         INTEGER PRIMARY KEY NOT NULL,
    hostname   TEXT NOT NULL UNIQUE,
    reach      TEXT NOT NULL CHECK (reach = 'local' OR reach GLOB 'ssh:?*'),
    spool      TEXT,
    run_as     TEXT,
    tags       TEXT NOT NULL DEFAULT '[]',
    automatic  BOOLEAN NOT NULL DEFAULT 0 CHECK (automatic IN (0, 1)),
    created_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP CHECK (created_at GLOB '????-??-?? ??:??:??*'),
    updated_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP CHECK (updated_at GLOB '????-??-?? ??:??:??*'),
    removed_at TIMESTAMP CHECK (removed_at GLOB '????-??-?? ??:??:??*')
);
