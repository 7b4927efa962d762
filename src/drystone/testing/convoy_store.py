"""A writer of Convoy stores for tests: plain files in a folder, made without anything of ours that reads them."""

from __future__ import annotations

import gzip
import hashlib
import json
from pathlib import Path
from typing import Any

BLOCK = 2 << 20


class ConvoyWriter:
    """Volumes and backups below `folder`, as the daemon's two generations wrote them.

    :param named: the later one: ids are names, numbers are text, folders follow from the sum of the name.
    """

    def __init__(self, folder: Path, *, named: bool = False) -> None:
        self.root = folder / "convoy-objectstore" / "volumes"
        self.named = named

    def folder_of(self, volume: str) -> Path:
        """Where a volume is."""
        name = hashlib.sha512(volume.encode()).hexdigest() if self.named else volume
        return self.root / name[:2] / name[2:4] / volume

    def write_volume(self, volume: str, size: int, **more: Any) -> None:
        """`volume.cfg`."""
        ids = {"Name": volume, "Size": str(size)} if self.named else {"UUID": volume, "Name": "vol1", "Size": size}
        created = {"CreatedTime": "Mon Nov 02 15:04:05 +0100 2015", "Driver": "devicemapper"}
        self.write(self.folder_of(volume) / "volume.cfg", {**ids, **created, **more})

    def write_backup(self, volume: str, backup: str, image: bytes, **more: Any) -> list[Path]:
        """A backup of an image: blocks that are all zeros are not named. The paths of the blocks, by offset."""
        paths, blocks = [], []
        for offset in range(0, len(image), BLOCK):
            plain = image[offset : offset + BLOCK].ljust(BLOCK, b"\0")
            if plain.count(0) == BLOCK:
                continue
            checksum = hashlib.sha512(plain).hexdigest()[:64]
            blocks.append({"Offset": offset, "BlockChecksum": checksum})
            paths.append(self.block_path(volume, checksum))
            self.write_bytes(paths[-1], gzip.compress(plain, 1))
        self.write_map(volume, backup, Blocks=blocks, **more)
        return paths

    def block_path(self, volume: str, checksum: str) -> Path:
        """Where a block is."""
        return self.folder_of(volume) / "blocks" / checksum[:2] / checksum[2:4] / f"{checksum}.blk"

    def write_file(self, volume: str, backup: str, data: bytes) -> None:
        """A backup that is a single file, as the driver vfs makes them."""
        path = self.folder_of(volume) / "BackupFiles" / f"{backup}.bak"
        self.write_bytes(path, data)
        key = str(path.relative_to(self.root.parents[1]))
        self.write_map(volume, backup, Driver="vfs", SingleFile={"FilePath": key})

    def write_map(self, volume: str, backup: str, **more: Any) -> None:
        """`backup_<backup>.cfg`."""
        ids = {"Name": backup, "VolumeName": volume} if self.named else {"UUID": backup, "VolumeUUID": volume}
        facts = {
            "Driver": "devicemapper",
            "SnapshotName": "monday",
            "SnapshotCreatedAt": "Mon Nov 02 15:04:05 +0100 2015",
            "CreatedTime": "Mon Nov 02 16:04:05 +0100 2015",
        }
        path = self.folder_of(volume) / "backups" / f"backup_{backup}.cfg"
        self.write(path, {**ids, **facts, **more})

    def write(self, path: Path, document: object) -> None:
        """JSON."""
        self.write_bytes(path, json.dumps(document).encode())

    def write_bytes(self, path: Path, data: bytes) -> None:
        """Any bytes."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
