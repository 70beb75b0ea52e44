DROP TABLE sealed;
DROP TABLE checkpoints;
DROP TABLE checkpoint_keys;
DROP TRIGGER event_log_is_not_rewritten;
DROP TRIGGER event_log_is_linked_once;
DROP TRIGGER event_log_is_only_swept;
ALTER TABLE event_log DROP COLUMN link;
DROP TABLE swept_events;
