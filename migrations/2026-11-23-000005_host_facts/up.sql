-- What a host last said about itself, and whether it can be reached. Not part of the journal: facts raise no version.
CREATE TABLE host_facts (
    host_id           INTEGER PRIMARY KEY NOT NULL REFERENCES hosts (id),
    reachable         BOOLEAN CHECK (reachable IN (0, 1)),
    since             TIMESTAMP CHECK (since GLOB '????-??-?? ??:??:??*'),
    problem           TEXT,
    probed_at         TIMESTAMP CHECK (probed_at GLOB '????-??-?? ??:??:??*'),
    kernel            TEXT NOT NULL DEFAULT '',
    os                TEXT NOT NULL DEFAULT '',
    boot_id           TEXT NOT NULL DEFAULT '',
    machine_id        TEXT NOT NULL DEFAULT '',
    uptime_s          BIGINT NOT NULL DEFAULT 0,
    clock_s           BIGINT NOT NULL DEFAULT 0,
    user              TEXT NOT NULL DEFAULT '',
    disk_used_percent BIGINT,
    reboot_needed     BOOLEAN NOT NULL DEFAULT 0 CHECK (reboot_needed IN (0, 1))
);
