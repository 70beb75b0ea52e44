-- Log-ins, by the hash of their secret; the secret itself is nowhere.
CREATE TABLE sessions (
    hash       TEXT PRIMARY KEY NOT NULL,
    actor      TEXT NOT NULL,
    created_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP CHECK (created_at GLOB '????-??-?? ??:??:??*'),
    expires_at TIMESTAMP NOT NULL CHECK (expires_at GLOB '????-??-?? ??:??:??*')
);
CREATE INDEX sessions_expiry ON sessions (expires_at);
