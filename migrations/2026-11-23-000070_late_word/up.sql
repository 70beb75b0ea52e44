-- What the host of a command said after somebody had resolved it by hand, and when that was heard.
ALTER TABLE commands ADD COLUMN late_word TEXT;
ALTER TABLE commands ADD COLUMN late_at TIMESTAMP CHECK (late_at GLOB '????-??-?? ??:??:??*');
-- Those whose hosts have not said anything yet: they are asked again.
CREATE INDEX commands_unanswered ON commands (id) WHERE resolved_by IS NOT NULL AND late_at IS NULL;
