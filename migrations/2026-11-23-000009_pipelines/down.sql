DROP INDEX pipelines_retry;
DROP INDEX pipelines_actor;
DROP INDEX pipelines_name;
DROP INDEX commands_pipeline_open;
DROP INDEX commands_one_per_stage;
ALTER TABLE pipeline_hosts DROP COLUMN waiting_since;
ALTER TABLE pipelines DROP COLUMN at_wait;
ALTER TABLE pipelines DROP COLUMN passed;
ALTER TABLE pipelines DROP COLUMN retry_of;
