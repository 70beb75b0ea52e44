-- The resolved text of ops, each once: what a command was started with.
CREATE TABLE definitions (
    sha256     TEXT PRIMARY KEY NOT NULL CHECK (length(sha256) = 64),
    text       TEXT NOT NULL,
    created_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP CHECK (created_at GLOB '????-??-?? ??:??:??*')
);

CREATE TABLE pipelines (
    id            TEXT PRIMARY KEY NOT NULL CHECK (length(id) = 36),
    name          TEXT NOT NULL,
    hosts         TEXT NOT NULL,
    current_stage BIGINT NOT NULL DEFAULT 0,
    status        TEXT NOT NULL CHECK (status IN ('RUNNING', 'HELD', 'COMPLETE', 'PARTIAL', 'FAILED', 'CANCELLED')),
    created_at    TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP CHECK (created_at GLOB '????-??-?? ??:??:??*'),
    finished_at   TIMESTAMP CHECK (finished_at GLOB '????-??-?? ??:??:??*'),
    actor         TEXT NOT NULL,
    reason        TEXT,
    plan          TEXT,
    hold_reason   TEXT,
    cancel_mode   TEXT,
    cancel_by     TEXT,
    cancel_at     TIMESTAMP CHECK (cancel_at GLOB '????-??-?? ??:??:??*'),
    CHECK ((status IN ('RUNNING', 'HELD')) = (finished_at IS NULL))
);
CREATE INDEX pipelines_open ON pipelines (id) WHERE finished_at IS NULL;
CREATE INDEX pipelines_status ON pipelines (status, id);
CREATE INDEX pipelines_age ON pipelines (finished_at, id) WHERE finished_at IS NOT NULL;

-- Which hosts a pipeline reserves: one pipeline per host until it is released.
CREATE TABLE pipeline_hosts (
    pipeline_id TEXT NOT NULL REFERENCES pipelines (id),
    host_id     BIGINT NOT NULL REFERENCES hosts (id),
    reserved_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP CHECK (reserved_at GLOB '????-??-?? ??:??:??*'),
    released_at TIMESTAMP CHECK (released_at GLOB '????-??-?? ??:??:??*'),
    PRIMARY KEY (pipeline_id, host_id)
);
CREATE UNIQUE INDEX pipeline_hosts_one_reservation ON pipeline_hosts (host_id) WHERE released_at IS NULL;
CREATE INDEX pipeline_hosts_host ON pipeline_hosts (host_id);

CREATE TABLE commands (
    id            TEXT PRIMARY KEY NOT NULL CHECK (length(id) = 36),
    host_id       BIGINT NOT NULL REFERENCES hosts (id),
    op            TEXT NOT NULL,
    pipeline_id   TEXT REFERENCES pipelines (id),
    stage         BIGINT,
    status        TEXT NOT NULL CHECK (status IN ('PENDING', 'VALIDATING', 'EXECUTING', 'SUCCESS', 'ERROR', 'TIMEOUT',
                                                  'CANCELLED', 'BLOCKED', 'SKIPPED', 'ORPHANED')),
    created_at    TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP CHECK (created_at GLOB '????-??-?? ??:??:??*'),
    started_at    TIMESTAMP CHECK (started_at GLOB '????-??-?? ??:??:??*'),
    launched_at   TIMESTAMP CHECK (launched_at GLOB '????-??-?? ??:??:??*'),
    finished_at   TIMESTAMP CHECK (finished_at GLOB '????-??-?? ??:??:??*'),
    settled_at    TIMESTAMP CHECK (settled_at GLOB '????-??-?? ??:??:??*'),
    exit_code     BIGINT,
    error         TEXT,
    refusal       TEXT,
    output_file   TEXT,
    output_bytes  BIGINT,
    output_sha256 TEXT,
    output_cut    BOOLEAN NOT NULL DEFAULT 0 CHECK (output_cut IN (0, 1)),
    actor         TEXT NOT NULL,
    reason        TEXT,
    evidence      TEXT,
    definition    TEXT NOT NULL REFERENCES definitions (sha256),
    retry_of      TEXT REFERENCES commands (id),
    deadline      TIMESTAMP CHECK (deadline GLOB '????-??-?? ??:??:??*'),
    stop_reason   TEXT CHECK (stop_reason IN ('cancel', 'timeout')),
    stop_by       TEXT,
    stop_at       TIMESTAMP CHECK (stop_at GLOB '????-??-?? ??:??:??*'),
    stop_note     TEXT,
    boot_id       TEXT,
    machine_id    TEXT,
    spool         TEXT,
    launches      BIGINT NOT NULL DEFAULT 0 CHECK (launches >= 0),
    warned_at     TIMESTAMP CHECK (warned_at GLOB '????-??-?? ??:??:??*'),
    overdue_at    TIMESTAMP CHECK (overdue_at GLOB '????-??-?? ??:??:??*'),
    resolved_by   TEXT,
    -- Open and final are told apart by finished_at; only an orphan may be either.
    CHECK (status = 'ORPHANED' OR (status IN ('PENDING', 'VALIDATING', 'EXECUTING')) = (finished_at IS NULL)),
    CHECK (finished_at IS NULL OR finished_at >= created_at),
    CHECK (started_at IS NULL OR started_at >= created_at)
);

-- The rule of the whole journal: one open command per host.
CREATE UNIQUE INDEX commands_one_open_per_host ON commands (host_id) WHERE finished_at IS NULL;
CREATE INDEX commands_open ON commands (id) WHERE finished_at IS NULL;
-- What the fleet shows of a host: its newest end, refusals aside.
CREATE INDEX commands_last ON commands (host_id, id) WHERE finished_at IS NOT NULL AND status <> 'BLOCKED';
-- One index for every filter of the history, the id last: pages are cut by id.
CREATE INDEX commands_host ON commands (host_id, id);
CREATE INDEX commands_op ON commands (op, id);
CREATE INDEX commands_status ON commands (status, id);
CREATE INDEX commands_actor ON commands (actor, id);
CREATE INDEX commands_pipeline ON commands (pipeline_id, id) WHERE pipeline_id IS NOT NULL;
CREATE INDEX commands_created ON commands (created_at, id);
CREATE INDEX commands_host_op ON commands (host_id, op, id);
CREATE INDEX commands_host_status ON commands (host_id, status, id);
CREATE INDEX commands_op_status ON commands (op, status, id);
CREATE INDEX commands_retry ON commands (retry_of) WHERE retry_of IS NOT NULL;
-- For the sweep: age, and which definitions are still in use.
CREATE INDEX commands_age ON commands (coalesce(settled_at, finished_at), id) WHERE finished_at IS NOT NULL;
CREATE INDEX commands_definition ON commands (definition);
