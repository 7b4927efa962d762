-- Volumes, snapshots, thin pools, and the journal of operations under way.

CREATE TABLE volumes (
    uuid        TEXT PRIMARY KEY,
    name        TEXT NOT NULL UNIQUE,
    driver      TEXT NOT NULL,
    size        INTEGER NOT NULL,           -- bytes; 0: no limit
    created     TEXT NOT NULL,              -- ISO 8601 with offset
    mount_point TEXT NOT NULL DEFAULT '',
    facts       TEXT NOT NULL               -- the driver's own, a JSON object of texts
) STRICT;

CREATE TABLE snapshots (
    uuid    TEXT PRIMARY KEY,
    name    TEXT NOT NULL UNIQUE,
    volume  TEXT NOT NULL REFERENCES volumes (uuid) ON DELETE CASCADE,
    created TEXT NOT NULL,
    size    INTEGER NOT NULL,
    facts   TEXT NOT NULL
) STRICT;

CREATE INDEX snapshots_of_volume ON snapshots (volume);

CREATE TABLE pools (
    name           TEXT PRIMARY KEY,
    uuid           TEXT NOT NULL,           -- part of the dm UUIDs of the pool's devices
    block_sectors  INTEGER NOT NULL,
    data_sectors   INTEGER NOT NULL,
    transaction_id INTEGER NOT NULL,        -- what the pool's metadata has, or has once the change under way is through
    next_device    INTEGER NOT NULL         -- the thin id that was never used
) STRICT;

-- One row an operation that has begun and not ended. `document` is the volume (and the snapshot) as it was or will be.
CREATE TABLE journal (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    action        TEXT NOT NULL CHECK (action IN ('create', 'delete', 'snapshot-create', 'snapshot-delete', 'mount')),
    volume_uuid   TEXT NOT NULL,
    volume_name   TEXT NOT NULL,
    snapshot_uuid TEXT NOT NULL DEFAULT '',
    snapshot_name TEXT NOT NULL DEFAULT '',
    document      TEXT NOT NULL,
    begun         TEXT NOT NULL
) STRICT;
