-- One row: up to where the last sweep went, so that a jump of the clock is noticed before it deletes.
CREATE TABLE sweeps (
    id              INTEGER PRIMARY KEY NOT NULL CHECK (id = 1),
    swept_at        TIMESTAMP NOT NULL CHECK (swept_at GLOB '????-??-?? ??:??:??*'),
    events_before   TIMESTAMP CHECK (events_before GLOB '????-??-?? ??:??:??*'),
    commands_before TIMESTAMP CHECK (commands_before GLOB '????-??-?? ??:??:??*')
);
