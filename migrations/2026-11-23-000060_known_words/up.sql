-- The words that the full-text index has, in their order: a view of that index which stores nothing. What a star in a search
-- stands for is looked up there.
CREATE VIRTUAL TABLE event_words_known USING fts5vocab('event_words', 'instance');
