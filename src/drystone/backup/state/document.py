"""The state of a repository as a value: what a generation holds (docs/reference/backup-format.md, Generations)."""

from __future__ import annotations

import re
from typing import Any, Self

import msgspec
import zstandard

from drystone.backup.format.codec import unpack_frame
from drystone.backup.format.digest import checksum
from drystone.backup.format.keys import parse_index_key, parse_manifest_key, parse_pack_key, parse_slot_key
from drystone.backup.format.manifest import Head
from drystone.backup.format.pack import LARGEST_PACK
from drystone.base.errors import DamagedError, UnsupportedError

VERSION = 2
LARGEST = 1 << 30
"""Bytes of a generation's plain JSON."""

_PACK = re.compile(r"[0-9a-f]{32}")
_GOES = (parse_pack_key, parse_manifest_key, parse_index_key, parse_slot_key)
"""Whose keys may be under `removed`."""


class Entry(Head, frozen=True, kw_only=True):
    """A backup: the fields of its manifest's head, and the hex BLAKE3 (unkeyed) of the manifest's stored bytes."""

    manifest: str

    @classmethod
    def of(cls, head: Head, stored: bytes) -> Self:
        """The entry of a manifest with this head and these stored bytes."""
        fields = {name: getattr(head, name) for name in Head.__struct_fields__}
        return cls(**fields, manifest=checksum(stored).hex())

    def head(self) -> Head:
        """The manifest's head."""
        return Head(**{name: getattr(self, name) for name in Head.__struct_fields__})


class Doom(msgspec.Struct, frozen=True):
    """No backup needs the pack (hex), as of generation `at`."""

    pack: str
    at: int


class State(msgspec.Struct, frozen=True, kw_only=True):
    """A generation. Change it by `msgspec.structs.replace`; `number` and `previous` are set by whoever puts it.

    :ivar indexes: names of those that count, oldest first.
    :ivar removed: keys (in the store) of packs, manifests and indexes to which nobody may refer any more.
    :ivar moved: pack (hex) -> packs (hex) where its records are found again.
    :ivar damaged: pack (hex) -> offsets (bytes) of records that are wrong.
    """

    version: int = VERSION
    number: int = 0
    previous: str = ""
    backups: tuple[Entry, ...] = ()
    indexes: tuple[str, ...] = ()
    doomed: tuple[Doom, ...] = ()
    removed: tuple[str, ...] = ()
    moved: dict[str, tuple[str, ...]] = {}
    damaged: dict[str, tuple[int, ...]] = {}

    def find(self, volume: str, backup: str) -> Entry | None:
        """A backup; None when there is none."""
        return next((each for each in self.backups if (each.backup, each.volume) == (backup, volume)), None)

    def removed_packs(self) -> set[bytes]:
        """Packs that are being deleted, or were and nobody has said so yet."""
        return {pack for key in self.removed if (pack := parse_pack_key(key)) is not None}

    def going(self) -> set[bytes]:
        """Packs that are on their way out: doomed, or removed already."""
        return self.removed_packs() | {bytes.fromhex(each.pack) for each in self.doomed}

    def refused(self) -> set[str]:
        """Packs (hex) to which a new backup must not refer: doomed."""
        return {each.pack for each in self.doomed}


class _Version(msgspec.Struct):
    """What is looked at first: the rest of a newer one may be anything."""

    version: Any = None


def encode(state: State) -> bytes:
    """The generation's plain bytes: JSON in a zstd frame. The same state makes the same bytes."""
    return zstandard.ZstdCompressor(level=3, write_checksum=True).compress(msgspec.json.encode(state))


def parse(data: bytes, number: int) -> State:
    """The generation `number` out of its plain bytes.

    :raises DamagedError: it is not that generation, or not whole. :raises UnsupportedError: a newer version.
    """
    what = f"generation {number} of the repository's state"
    plain = unpack_frame(data, LARGEST, what)
    try:
        version = msgspec.json.decode(plain, type=_Version).version
        if isinstance(version, int) and version > VERSION:
            raise UnsupportedError(
                f"{what} is of version {version}; this program reads up to {VERSION}", hint="use a newer drystone"
            )
        state = msgspec.json.decode(plain, type=State)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise DamagedError(f"{what} is damaged: {error}") from error
    if state.number != number:
        raise DamagedError(f"{what} says that it is number {state.number}")
    if not _is_sound(state):
        raise DamagedError(f"{what} names packs or objects that can be none")
    return state


def _is_sound(state: State) -> bool:
    """Whether what it names can be packs, and objects that may go: a collector deletes what it finds under `removed`.

    What else it names is looked at where it is used.
    """
    packs = [each.pack for each in state.doomed]
    packs += [*state.damaged, *state.moved, *(each for targets in state.moved.values() for each in targets)]
    offsets = (offset for each in state.damaged.values() for offset in each)
    return (
        all(_PACK.fullmatch(each) for each in packs)
        and all(0 <= offset < LARGEST_PACK for offset in offsets)
        and all(any(parse(key) is not None for parse in _GOES) for key in state.removed)
    )
