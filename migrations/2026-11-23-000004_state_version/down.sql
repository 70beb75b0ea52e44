DROP TABLE state_version;
