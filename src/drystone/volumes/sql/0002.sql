-- Who wants a volume mounted: the ids of Docker's mount requests, and '' for whoever mounted it by hand. A volume is
-- mounted as long as somebody does.

CREATE TABLE holders (
    volume TEXT NOT NULL REFERENCES volumes (uuid) ON DELETE CASCADE,
    holder TEXT NOT NULL,
    PRIMARY KEY (volume, holder)
) STRICT, WITHOUT ROWID;

INSERT INTO holders (volume, holder) SELECT uuid, '' FROM volumes WHERE mount_point <> '';
