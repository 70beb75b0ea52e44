DROP INDEX commands_last;
CREATE INDEX commands_last ON commands (host_id, id) WHERE finished_at IS NOT NULL AND status <> 'BLOCKED';
