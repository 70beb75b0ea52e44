-- The event that a digest is of: the newest voucher of a row counts. None: from before it was asked for.
ALTER TABLE sealed ADD COLUMN event_id BIGINT;
DROP INDEX sealed_what;
CREATE INDEX sealed_what ON sealed (what, event_id, id);

-- What each transaction of a sweep removed, signed in that transaction: a line as src/store/sweep/piece.rs makes it. Gone
-- when the checkpoint of the sweep stands for all of them; their numbers are not used again.
CREATE TABLE sweep_pieces (
    id   INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    line TEXT NOT NULL
);
-- The piece that took an event. None: from before there were any.
ALTER TABLE swept_events ADD COLUMN piece BIGINT;
CREATE INDEX swept_events_piece ON swept_events (piece, id) WHERE piece IS NOT NULL;
