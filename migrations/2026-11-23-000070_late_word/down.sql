DROP INDEX commands_unanswered;
ALTER TABLE commands DROP COLUMN late_at;
ALTER TABLE commands DROP COLUMN late_word;
