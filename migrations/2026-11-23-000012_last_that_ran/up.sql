-- A host's last command is the last that ran, or would have but for a person: what its pipeline wrote off hides no failure.
DROP INDEX commands_last;
CREATE INDEX commands_last ON commands (host_id, id)
    WHERE finished_at IS NOT NULL AND status <> 'BLOCKED' AND (refusal IS NULL OR started_at IS NOT NULL);
