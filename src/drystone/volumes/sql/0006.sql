-- Schedules, and which of them took a snapshot: '' for one that was taken by hand.

ALTER TABLE snapshots ADD COLUMN schedule TEXT NOT NULL DEFAULT '';

CREATE TABLE schedules (
    uuid   TEXT PRIMARY KEY,
    name   TEXT NOT NULL UNIQUE,
    volume TEXT NOT NULL REFERENCES volumes (uuid) ON DELETE CASCADE,
    wish   TEXT NOT NULL,                   -- what was asked for, a JSON object
    state  TEXT NOT NULL                    -- what became of it, a JSON object
) STRICT;
