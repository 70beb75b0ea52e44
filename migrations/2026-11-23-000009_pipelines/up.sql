-- What pipelines need beyond their first shape.
ALTER TABLE pipelines ADD COLUMN retry_of TEXT REFERENCES pipelines (id);
-- Waits for a person: those that somebody let pass, as [[batch, stage], ...], and the one at which it is held now.
ALTER TABLE pipelines ADD COLUMN passed TEXT NOT NULL DEFAULT '[]';
ALTER TABLE pipelines ADD COLUMN at_wait TEXT;
-- When a busy host's turn came: so long it has been waited for, over restarts too.
ALTER TABLE pipeline_hosts ADD COLUMN waiting_since TIMESTAMP CHECK (waiting_since GLOB '????-??-?? ??:??:??*');

-- A stage never repeats on a host.
CREATE UNIQUE INDEX commands_one_per_stage ON commands (pipeline_id, host_id, stage) WHERE pipeline_id IS NOT NULL AND stage IS NOT NULL;
CREATE INDEX commands_pipeline_open ON commands (pipeline_id, id) WHERE pipeline_id IS NOT NULL AND finished_at IS NULL;
CREATE INDEX pipelines_name ON pipelines (name, id);
CREATE INDEX pipelines_actor ON pipelines (actor, id);
CREATE INDEX pipelines_retry ON pipelines (retry_of) WHERE retry_of IS NOT NULL;
