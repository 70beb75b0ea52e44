DROP TABLE event_index;
DROP TABLE event_words;
