"""The tag: who this metadata is and when it was in use, in what the superblock's first sector has left over.

dm-era gives its metadata no identity: the kernel writes zeros over the superblock's uuid with every commit. An
incremental backup needs one, as metadata that was made anew counts eras from 1 again, and its eras would be taken for
those of the old. The superblock uses 224 of 4096 bytes, and the kernel (Linux 6.1, drivers/md/dm-era-target.c) reads
the block, changes its fields and writes it back: the rest stays as it is, and a metadata snapshot's copy has it too.
Whatever writes metadata anew (the kernel on a zeroed device, era_restore, era_repair) leaves the tag out, as it must.

    224  21 x 12 bytes  sessions, newest first; zeros after the last:
                         0  u64  a random number for each time the device was made, not 0
                         8  u32  the first era of that time
    476  4 bytes        zeros
    480  16 bytes       "drystone era tag"
    496  16 bytes       a UUID

A backup remembers its session. Metadata that was put back from a copy of an older time does not know it, or knows of a
next one that began before the backup was made.

The checksum at offset 0 is in the same sector, so a device that writes sectors whole has the tag with its checksum or
neither.
"""

from __future__ import annotations

import struct
import uuid
from dataclasses import dataclass

from drystone.base.sizes import SECTOR
from drystone.formats.pdata.checksum import ERA_SUPERBLOCK, checksum_block

MAGIC = b"drystone era tag"
OFFSET = 480

_SESSION = struct.Struct("<QI")
_SESSIONS_AT = 224
_MOST = 21


@dataclass(frozen=True, slots=True)
class Session:
    """A time for which the device was active.

    :ivar number: random, not 0. :ivar first_era: the era with which it began.
    """

    number: int
    first_era: int


def read_tag(block: bytes) -> str:
    """The UUID in a superblock's 4096 bytes, or ""."""
    if block[OFFSET : OFFSET + 16] != MAGIC:
        return ""
    return str(uuid.UUID(bytes=block[OFFSET + 16 : OFFSET + 32]))


def read_sessions(block: bytes) -> tuple[Session, ...]:
    """The sessions of a tagged superblock, newest first; at most 21 are kept."""
    if not read_tag(block):
        return ()
    found = _SESSION.iter_unpack(block[_SESSIONS_AT : _SESSIONS_AT + _MOST * _SESSION.size])
    return tuple(Session(number, first_era) for number, first_era in found if number)


def tag_sector(block: bytes, tag: str, session: Session) -> bytes:
    """The first 512 bytes of the superblock `block` with the UUID `tag`, one more session, and the checksum that goes
    with it. Sessions of another tag are dropped.
    """
    before = read_sessions(block) if read_tag(block) == tag else ()
    sessions = b"".join(_SESSION.pack(each.number, each.first_era) for each in (session, *before)[:_MOST])
    tagged = bytearray(block)
    tagged[_SESSIONS_AT:OFFSET] = sessions.ljust(OFFSET - _SESSIONS_AT, b"\0")
    tagged[OFFSET : OFFSET + 32] = MAGIC + uuid.UUID(tag).bytes
    struct.pack_into("<I", tagged, 0, checksum_block(bytes(tagged), ERA_SUPERBLOCK))
    return bytes(tagged[:SECTOR])
