-- Rises whenever what a user has proved is void: a new password, another second factor, shut out or let in again.
-- Who proved something in one era opens no session in the next one.
ALTER TABLE users ADD COLUMN era BIGINT NOT NULL DEFAULT 0;
