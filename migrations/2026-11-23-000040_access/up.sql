-- People. A row is never deleted: a name that somebody acted under is never given to somebody else.
CREATE TABLE users (
    id           INTEGER PRIMARY KEY NOT NULL,
    name         TEXT NOT NULL UNIQUE,
    password     TEXT NOT NULL CHECK (password GLOB '$argon2id$*'),
    grants       TEXT NOT NULL,
    totp_secret  TEXT,
    -- The last time step whose code was taken: no code is taken twice.
    totp_step    BIGINT NOT NULL DEFAULT 0,
    created_at   TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP CHECK (created_at GLOB '????-??-?? ??:??:??*'),
    password_at  TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP CHECK (password_at GLOB '????-??-?? ??:??:??*'),
    disabled_at  TIMESTAMP CHECK (disabled_at GLOB '????-??-?? ??:??:??*')
);

-- What stands in for a lost second factor, once each, by hash.
CREATE TABLE recovery_codes (
    hash    TEXT PRIMARY KEY NOT NULL,
    user_id BIGINT NOT NULL REFERENCES users (id)
);
CREATE INDEX recovery_codes_user ON recovery_codes (user_id);

-- Programs. As with users, a name is never used again.
CREATE TABLE tokens (
    id           INTEGER PRIMARY KEY NOT NULL,
    name         TEXT NOT NULL UNIQUE,
    hash         TEXT NOT NULL UNIQUE,
    grants       TEXT NOT NULL,
    created_by   TEXT NOT NULL,
    created_at   TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP CHECK (created_at GLOB '????-??-?? ??:??:??*'),
    expires_at   TIMESTAMP CHECK (expires_at GLOB '????-??-?? ??:??:??*'),
    last_used_at TIMESTAMP CHECK (last_used_at GLOB '????-??-?? ??:??:??*'),
    revoked_at   TIMESTAMP CHECK (revoked_at GLOB '????-??-?? ??:??:??*')
);

-- Sessions, with whose they are and what was proved in them. Who was logged in logs in again.
DROP TABLE sessions;
CREATE TABLE sessions (
    id           INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    hash         TEXT NOT NULL UNIQUE,
    actor        TEXT NOT NULL,
    user_id      BIGINT REFERENCES users (id),
    address      TEXT,
    agent        TEXT,
    factor       TEXT,
    proved_at    TIMESTAMP CHECK (proved_at GLOB '????-??-?? ??:??:??*'),
    created_at   TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP CHECK (created_at GLOB '????-??-?? ??:??:??*'),
    last_seen_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP CHECK (last_seen_at GLOB '????-??-?? ??:??:??*'),
    expires_at   TIMESTAMP NOT NULL CHECK (expires_at GLOB '????-??-?? ??:??:??*')
);
CREATE INDEX sessions_expiry ON sessions (expires_at);
CREATE INDEX sessions_user ON sessions (user_id) WHERE user_id IS NOT NULL;

-- Failed log-ins by account and by address, both as hashes: what is typed as a name may be a password.
CREATE TABLE login_attempts (
    what     TEXT PRIMARY KEY NOT NULL,
    failures BIGINT NOT NULL,
    last_at  TIMESTAMP NOT NULL CHECK (last_at GLOB '????-??-?? ??:??:??*')
);
CREATE INDEX login_attempts_age ON login_attempts (last_at);

-- Idempotency keys: what a start under this key has made, so that it is made once.
CREATE TABLE once (
    actor       TEXT NOT NULL,
    key         TEXT NOT NULL,
    request     TEXT NOT NULL,
    command_id  TEXT,
    pipeline_id TEXT,
    created_at  TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP CHECK (created_at GLOB '????-??-?? ??:??:??*'),
    PRIMARY KEY (actor, key)
);
CREATE INDEX once_age ON once (created_at);
