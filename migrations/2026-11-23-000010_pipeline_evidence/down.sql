ALTER TABLE pipelines DROP COLUMN evidence;
