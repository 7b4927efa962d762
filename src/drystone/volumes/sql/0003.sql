-- Volumes grow: the journal knows of that, too. SQLite changes no CHECK in place, so the table is made anew.

CREATE TABLE new_journal (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    action        TEXT NOT NULL CHECK (
        action IN ('create', 'delete', 'snapshot-create', 'snapshot-delete', 'mount', 'resize')
    ),
    volume_uuid   TEXT NOT NULL,
    volume_name   TEXT NOT NULL,
    snapshot_uuid TEXT NOT NULL DEFAULT '',
    snapshot_name TEXT NOT NULL DEFAULT '',
    document      TEXT NOT NULL,
    begun         TEXT NOT NULL
) STRICT;

INSERT INTO new_journal SELECT * FROM journal;
DROP TABLE journal;
ALTER TABLE new_journal RENAME TO journal;
