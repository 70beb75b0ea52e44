DROP TABLE once;
DROP TABLE login_attempts;
DROP TABLE sessions;
DROP TABLE tokens;
DROP TABLE recovery_codes;
DROP TABLE users;
CREATE TABLE sessions (
    hash       TEXT PRIMARY KEY NOT NULL,
    actor      TEXT NOT NULL,
    created_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP CHECK (created_at GLOB '????-??-?? ??:??:??*'),
    expires_at TIMESTAMP NOT NULL CHECK (expires_at GLOB '????-??-?? ??:??:??*')
);
CREATE INDEX sessions_expiry ON sessions (expires_at);
