"""What a transaction is, in every region alike: the hash over its data and its past."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from blake3 import blake3
from msgspec import Struct

from drystone.base.errors import DamagedError
from drystone.formats.region.layout import MOST_SEQUENCE, NO_DIGEST, ROOM

_DOMAIN = b"drystone region 1\n"


def digest(data: bytes) -> bytes:
    """BLAKE3, 32 bytes."""
    return blake3(data).digest()


def digest_chunk(chunk: bytes) -> bytes:
    """The digest by which a data page is known."""
    return blake3(b"\0" + chunk).digest()


def cut(data: bytes) -> list[bytes]:
    """The chunks of `data`, of 4000 bytes but for the last one."""
    return [data[at : at + ROOM] for at in range(0, len(data), ROOM)]


def digest_content(chunk_digests: Iterable[bytes]) -> bytes:
    """The digest of a version's whole data."""
    return digest(b"".join(chunk_digests))


class Change(Struct, frozen=True):
    """A transaction as a region holds it: it replaces all data by `length` bytes.

    :ivar parent: hash of the transaction before it; zeros for sequence 0.
    :ivar content: digest of its data.
    """

    group: UUID
    sequence: int
    length: int
    parent: bytes
    content: bytes

    @property
    def hash(self) -> bytes:
        """Names its data and its whole past; 32 bytes."""
        numbers = self.sequence.to_bytes(8, "little") + self.length.to_bytes(8, "little")
        return digest(_DOMAIN + self.group.bytes + numbers + self.parent + self.content)


def first_change(group: UUID) -> Change:
    """The empty data that a group begins with."""
    return Change(group, 0, 0, NO_DIGEST, digest_content(()))


def next_change(before: Change, data: bytes) -> Change:
    """The transaction that puts `data` in the place of what `before` left.

    :raises DamagedError: its number has no room in a page; no group comes so far by itself.
    """
    if before.sequence >= MOST_SEQUENCE:
        raise DamagedError(f"transaction {before.sequence} cannot be followed by another one")
    content = digest_content(digest_chunk(chunk) for chunk in cut(data))
    return Change(before.group, before.sequence + 1, len(data), before.hash, content)
