-- Who changed what, and what became of it. An operation's row is made with its line in the journal, and ended with it.

CREATE TABLE audit (
    id        INTEGER PRIMARY KEY AUTOINCREMENT,
    operation INTEGER,                  -- of the journal; NULL for what has no line there
    at        TEXT NOT NULL,            -- ISO 8601 with offset
    action    TEXT NOT NULL,
    subject   TEXT NOT NULL,            -- the name of a volume, a snapshot or a pool
    uuid      TEXT NOT NULL,            -- "" for a pool
    pid       INTEGER NOT NULL,         -- of whoever asked; 0 for the daemon itself
    uid       INTEGER NOT NULL,
    program   TEXT NOT NULL,
    outcome   TEXT NOT NULL CHECK (outcome IN ('begun', 'done', 'undone'))
) STRICT;

CREATE INDEX audit_of_operation ON audit (operation);
CREATE INDEX audit_of_subject ON audit (uuid);
