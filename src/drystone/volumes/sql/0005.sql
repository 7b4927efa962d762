-- The journal without a list of actions, which is the program's: each new one would mean a new table.

CREATE TABLE journal_without_list (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    action        TEXT NOT NULL,
    volume_uuid   TEXT NOT NULL,
    volume_name   TEXT NOT NULL,
    snapshot_uuid TEXT NOT NULL DEFAULT '',
    snapshot_name TEXT NOT NULL DEFAULT '',
    document      TEXT NOT NULL,
    begun         TEXT NOT NULL
) STRICT;

INSERT INTO journal_without_list SELECT * FROM journal;
-- Numbers are not given out again: the trail has them.
DELETE FROM sqlite_sequence WHERE name = 'journal_without_list';
INSERT INTO sqlite_sequence (name, seq) SELECT 'journal_without_list', seq FROM sqlite_sequence WHERE name = 'journal';
DROP TABLE journal;
ALTER TABLE journal_without_list RENAME TO journal;
