-- Where an account has logged in from before, as hashes: whatever strangers try elsewhere, log-ins from there are
-- counted by themselves.
CREATE TABLE known_places (
    user_id BIGINT NOT NULL REFERENCES users (id),
    place   TEXT NOT NULL,
    last_at TIMESTAMP NOT NULL CHECK (last_at GLOB '????-??-?? ??:??:??*'),
    PRIMARY KEY (user_id, place)
);
