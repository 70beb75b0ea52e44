DROP TABLE commands;
DROP TABLE pipeline_hosts;
DROP TABLE pipelines;
DROP TABLE definitions;
