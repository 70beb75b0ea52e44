DROP TABLE witnesses;
DROP TABLE cursors;
