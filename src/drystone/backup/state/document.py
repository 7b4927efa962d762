"""The state of a repository as a value: what a generation holds (docs/reference/backup-format.md, Generations)."""

from __future__ import annotations

import re
from typing import Any

import msgspec
import zstandard

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

    def refused(self) -> set[str]:
        """Packs (hex) to which a new backup must not refer: doomed."""
        return {each.pack for each in self.doomed}


def encode(state: State) -> bytes:
    """The generation's plain bytes: JSON in a zstd frame. The same state makes the same bytes."""
    return zstandard.ZstdCompressor(level=3, write_checksum=True).compress(msgspec.json.encode(state))


def parse(data: bytes, number: int) -> State:
    """The generation `number` out of its plain bytes.

    :raises DamagedError: it is not that generation, or not whole. :raises UnsupportedError: a newer version.
    """
    what = f"generation {number} of the repository's state"
    hint = "drystone backup rebuild makes a new one out of what is whole"
    try:
        size = zstandard.frame_content_size(data)
        if not 0 <= size <= LARGEST:
            raise DamagedError(f"{what} tells {size} bytes", hint=hint)
        plain = zstandard.ZstdDecompressor().decompress(data, max_output_size=max(1, size), allow_extra_data=False)
        version = msgspec.json.decode(plain, type=dict[str, Any]).get("version")
        if isinstance(version, int) and version > VERSION:
            raise UnsupportedError(
                f"{what} is of version {version}; this program reads up to {VERSION}", hint="use a newer drystone"
            )
        state = msgspec.json.decode(plain, type=State)
    except (zstandard.ZstdError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise DamagedError(f"{what} is damaged: {error}", hint=hint) from error
    if state.number != number:
        raise DamagedError(f"{what} says that it is number {state.number}", hint=hint)
    if not _is_sound(state):
        raise DamagedError(f"{what} names packs or objects that can be none", hint=hint)
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
