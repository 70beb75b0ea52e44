DROP TABLE reviews;
DROP TABLE report_contents;
DROP TABLE reports;
