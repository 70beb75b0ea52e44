-- The words of events (message and details), for the full-text search. Filled behind the log by a pass of the dashboard;
-- it holds no text, only which word stands in which event, and what a sweep removes leaves it in the same transaction.
CREATE VIRTUAL TABLE event_words USING fts5(text, content='', contentless_delete=1, tokenize='unicode61 remove_diacritics 2');

-- One row: up to which event the words are indexed.
CREATE TABLE event_index (
    id       INTEGER PRIMARY KEY NOT NULL CHECK (id = 1),
    event_id BIGINT NOT NULL CHECK (event_id >= 0)
);
INSERT INTO event_index (id, event_id) VALUES (1, 0);
