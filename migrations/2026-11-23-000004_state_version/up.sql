-- version rises with every committed change of hosts, commands, pipelines and event_log;
-- groups rises with every commit, so that a commit whose answer was lost can be found again.
CREATE TABLE state_version (
    id      INTEGER PRIMARY KEY NOT NULL CHECK (id = 1),
    version BIGINT NOT NULL DEFAULT 0,
    groups  BIGINT NOT NULL DEFAULT 0
);
INSERT INTO state_version (id) VALUES (1);
