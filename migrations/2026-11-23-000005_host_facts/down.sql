DROP TABLE host_facts;
