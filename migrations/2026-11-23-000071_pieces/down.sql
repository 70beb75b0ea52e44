DROP INDEX swept_events_piece;
ALTER TABLE swept_events DROP COLUMN piece;
DROP TABLE sweep_pieces;
DROP INDEX sealed_what;
CREATE INDEX sealed_what ON sealed (what, id);
ALTER TABLE sealed DROP COLUMN event_id;
