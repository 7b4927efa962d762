"""An era device in two files, for tests of what reads one: it records writes as dm-era does."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from drystone.backup.era_source import EraDisk
from drystone.base.sizes import SECTOR
from drystone.formats.era.superblock import parse_superblock
from drystone.formats.era.tag import Session, tag_sector
from drystone.formats.pdata.blocks import BLOCK
from drystone.testing.era_metadata import Held, write_era_metadata


class FileEraDevice:
    """`folder/data` and, while a snapshot is held, `folder/metadata`.

    :ivar tag: of the metadata; "" for none. :ivar sessions: of the tag, oldest first.
    :ivar era: the current era. :ivar eras: of the last write to each block.
    :ivar block_size: bytes. :ivar holding: whether a metadata snapshot is held.
    """

    def __init__(self, folder: Path, size: int, tag: str, block_size: int = 65536) -> None:
        self.data, self.metadata = folder / "data", folder / "metadata"
        self.tag = tag
        self.block_size = block_size
        self.sessions = [Session(1, 1)]
        self.era = 1
        self.holding = False
        self.eras: list[int] = []
        self.data.write_bytes(bytes(size))
        self.resize(size)

    @property
    def size(self) -> int:
        """Bytes."""
        return self.data.stat().st_size

    def resize(self, size: int) -> None:
        """Make it shorter or longer, as when the origin is resized: what is cut off is forgotten."""
        with self.data.open("r+b") as file:
            file.truncate(size)
        blocks = -(-size // self.block_size)
        self.eras = [*self.eras, *[0] * blocks][:blocks]

    def write(self, offset: int, data: bytes) -> None:
        """Write `data` at byte `offset`, and record it."""
        with self.data.open("r+b") as file:
            file.seek(offset)
            file.write(data)
        for block in range(offset // self.block_size, -(-(offset + len(data)) // self.block_size)):
            self.eras[block] = self.era

    def start_again(self, session: int) -> None:
        """Deactivate and activate."""
        self.era += 1
        self.sessions.append(Session(session, self.era))

    def make_anew(self, tag: str) -> None:
        """New metadata: all eras are forgotten."""
        self.tag, self.sessions, self.era, self.eras = tag, [Session(1, 1)], 1, [0] * len(self.eras)

    def roll(self) -> None:
        """Begin a new era."""
        self.era += 1

    @contextlib.contextmanager
    def hold(self) -> Iterator[int]:
        """A metadata snapshot of the next era; draining begins another."""
        assert not self.holding
        self.era += 1
        image = write_era_metadata(
            self.eras,
            current_era=self.era,
            held=Held(self.eras, {}, self.era),
            data_block_size=self.block_size // 512,
        )
        location = parse_superblock(image[:BLOCK]).metadata_snap
        if self.tag:
            at = location * BLOCK
            block = image[at : at + BLOCK]
            # Only the copy is read; its checksum is that of a superblock, wherever it lies.
            for session in self.sessions:
                block = tag_sector(block, self.tag, session) + block[SECTOR:]
            image = image[:at] + block + image[at + BLOCK :]
        self.metadata.write_bytes(image)
        self.era += 1
        self.holding = True
        try:
            yield location
        finally:
            self.holding = False

    def disk(self, *, keeps_writesets: bool = True, discards_until: int = 0) -> EraDisk:
        """As the source of a backup."""
        return EraDisk(
            str(self.data), str(self.metadata), self.size, self.hold, self.roll, keeps_writesets, discards_until
        )
