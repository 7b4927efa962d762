-- name: list_volumes
-- Every volume, oldest first.
SELECT uuid, name, driver, size, created, mount_point, facts FROM volumes ORDER BY rowid;

-- name: get_volume
SELECT uuid, name, driver, size, created, mount_point, facts FROM volumes WHERE uuid = :uuid;

-- name: list_snapshots
SELECT uuid, name, volume, created, size, facts, schedule FROM snapshots ORDER BY rowid;

-- name: list_snapshots_of
SELECT uuid, name, volume, created, size, facts, schedule FROM snapshots WHERE volume = :volume ORDER BY rowid;

-- name: get_snapshot
SELECT uuid, name, volume, created, size, facts, schedule FROM snapshots WHERE uuid = :uuid;

-- name: taken_volume_name
-- Whether a name belongs to a volume, or to one that is being made.
SELECT 1 FROM volumes WHERE name = :name
UNION ALL SELECT 1 FROM journal WHERE action = 'create' AND volume_name = :name;

-- name: taken_snapshot_name
SELECT 1 FROM snapshots WHERE name = :name
UNION ALL SELECT 1 FROM journal WHERE action = 'snapshot-create' AND snapshot_name = :name;

-- name: insert_volume
INSERT INTO volumes (uuid, name, driver, size, created, mount_point, facts)
VALUES (:uuid, :name, :driver, :size, :created, :mount_point, :facts);

-- name: insert_snapshot
INSERT INTO snapshots (uuid, name, volume, created, size, facts, schedule)
VALUES (:uuid, :name, :volume, :created, :size, :facts, :schedule);

-- name: delete_volume
-- Its snapshots go with it.
DELETE FROM volumes WHERE uuid = :uuid;

-- name: delete_snapshot
DELETE FROM snapshots WHERE uuid = :uuid;

-- name: set_mount_point
UPDATE volumes SET mount_point = :mount_point WHERE uuid = :uuid;

-- name: set_size
UPDATE volumes SET size = :size WHERE uuid = :uuid;

-- name: set_content
-- After going back to a snapshot.
UPDATE volumes SET size = :size, facts = :facts WHERE uuid = :uuid;

-- name: list_holders
SELECT holder FROM holders WHERE volume = :volume ORDER BY holder;

-- name: add_holder
INSERT INTO holders (volume, holder) VALUES (:volume, :holder) ON CONFLICT DO NOTHING;

-- name: drop_holder
DELETE FROM holders WHERE volume = :volume AND holder = :holder;

-- name: drop_holders
DELETE FROM holders WHERE volume = :volume;

-- name: begin_operation
INSERT INTO journal (action, volume_uuid, volume_name, snapshot_uuid, snapshot_name, document, begun)
VALUES (:action, :volume_uuid, :volume_name, :snapshot_uuid, :snapshot_name, :document, :begun);

-- name: end_operation
DELETE FROM journal WHERE id = :id;

-- name: list_operations
SELECT id, action, document, begun FROM journal ORDER BY id;

-- name: add_audit
INSERT INTO audit (operation, at, action, subject, uuid, pid, uid, program, outcome)
VALUES (:operation, :at, :action, :subject, :uuid, :pid, :uid, :program, :outcome);

-- name: end_audit
UPDATE audit SET outcome = :outcome WHERE operation = :operation;

-- name: end_entry
UPDATE audit SET outcome = :outcome WHERE id = :id;

-- name: trim_audit
DELETE FROM audit WHERE id <= (SELECT max(id) FROM audit) - :keep;

-- name: list_audit
-- The newest entries, oldest first; of one volume or snapshot where it is named.
SELECT at, action, subject, uuid, pid, uid, program, outcome FROM (
    SELECT * FROM audit WHERE :subject = '' OR subject = :subject OR uuid = :subject ORDER BY id DESC LIMIT :most
) ORDER BY id;

-- name: get_pool
SELECT name, uuid, block_sectors, data_sectors, transaction_id, next_device FROM pools WHERE name = :name;

-- name: put_pool
INSERT INTO pools (name, uuid, block_sectors, data_sectors, transaction_id, next_device)
VALUES (:name, :uuid, :block_sectors, :data_sectors, :transaction_id, :next_device)
ON CONFLICT (name) DO UPDATE SET block_sectors = excluded.block_sectors, data_sectors = excluded.data_sectors,
    transaction_id = excluded.transaction_id, next_device = excluded.next_device;

-- name: list_schedules
SELECT uuid, name, volume, wish, state FROM schedules ORDER BY rowid;

-- name: insert_schedule
INSERT INTO schedules (uuid, name, volume, wish, state) VALUES (:uuid, :name, :volume, :wish, :state);

-- name: set_schedule
UPDATE schedules SET state = :state WHERE uuid = :uuid;

-- name: delete_schedule
DELETE FROM schedules WHERE uuid = :uuid;
