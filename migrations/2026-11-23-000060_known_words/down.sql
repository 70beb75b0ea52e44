DROP TABLE event_words_known;
