-- Who has looked at a bad end, when, and what they noted.
ALTER TABLE commands ADD COLUMN acknowledged_by TEXT;
ALTER TABLE commands ADD COLUMN acknowledged_at TIMESTAMP CHECK (acknowledged_at GLOB '????-??-?? ??:??:??*');
ALTER TABLE commands ADD COLUMN acknowledged_note TEXT;
-- The refusal that this one repeats within a minute: the history shows that one, with a count.
ALTER TABLE commands ADD COLUMN repeat_of TEXT;

-- Why somebody cancelled a pipeline, in their words.
ALTER TABLE pipelines ADD COLUMN cancel_note TEXT;

-- What needs attention, by every filter of the history. A query walks one of them where it has this very
-- condition; the + keeps SQLite from walking the statuses of another index, one after the other, and sorting.
CREATE INDEX commands_attention ON commands (id)
    WHERE finished_at IS NOT NULL AND acknowledged_at IS NULL AND +status IN ('ERROR', 'TIMEOUT', 'ORPHANED');
CREATE INDEX commands_attention_host ON commands (host_id, id)
    WHERE finished_at IS NOT NULL AND acknowledged_at IS NULL AND +status IN ('ERROR', 'TIMEOUT', 'ORPHANED');
CREATE INDEX commands_attention_op ON commands (op, id)
    WHERE finished_at IS NOT NULL AND acknowledged_at IS NULL AND +status IN ('ERROR', 'TIMEOUT', 'ORPHANED');
CREATE INDEX commands_attention_actor ON commands (actor, id)
    WHERE finished_at IS NOT NULL AND acknowledged_at IS NULL AND +status IN ('ERROR', 'TIMEOUT', 'ORPHANED');

-- Lines of the history: commands of no pipeline (those have one line together) that repeat no refusal.
CREATE INDEX commands_alone ON commands (id) WHERE pipeline_id IS NULL AND repeat_of IS NULL;
CREATE INDEX commands_alone_actor ON commands (actor, id) WHERE pipeline_id IS NULL AND repeat_of IS NULL;
CREATE INDEX commands_repeats ON commands (repeat_of) WHERE repeat_of IS NOT NULL;
-- The refusal that a new one may repeat.
CREATE INDEX commands_refused ON commands (host_id, op, actor, id)
    WHERE status = 'BLOCKED' AND pipeline_id IS NULL AND repeat_of IS NULL;
CREATE INDEX pipelines_created ON pipelines (created_at, id);
