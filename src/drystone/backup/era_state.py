"""What the next backup of an era device has to know of the last one: its state.

A backup's manifest holds it among its facts, so that it is there if and only if the backup is. Somebody may also want
it in a file of his own; then that file says which backup the next one builds upon. The file is written when the backup
is durable: a crash in between leaves the older state, which is as true (docs/decisions/0028-era-backups.md).

    {"format": "drystone-era-state", "version": 1, "state": {...}, "check": "<BLAKE3 of the state's JSON>"}
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from drystone.backup.facts import read_numbers, write_numbers
from drystone.backup.format.digest import checksum
from drystone.base.errors import DamagedError, KernelError, NotFoundError, UnsupportedError
from drystone.base.files import replace_file

FORMAT = "drystone-era-state"
VERSION = 1
LARGEST_FILE = 64 << 10
"""Bytes that a state file can have at most."""

_TAG = "era.tag"
_NUMBERS = {
    "era.next": "next_era",
    "era.end": "end_era",
    "era.session": "session",
    "era.block_size": "block_size",
    "era.size": "size",
}
"""Key of a manifest's fact -> field of the state."""


class EraState(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A backup of an era device: all that was written before `next_era` is in it.

    :ivar tag, session: of the metadata (drystone.formats.era.tag).
    :ivar end_era: the era that was begun when the data had been read. Metadata that has seen it end knows of all that
        the backup holds.
    :ivar block_size: bytes of a block. :ivar size: bytes of the device.
    :ivar volume, backup: UUIDs of the backup; "" where it is the one that holds the state.
    """

    tag: str
    session: int
    next_era: int
    end_era: int
    block_size: int
    size: int
    volume: str = ""
    backup: str = ""

    def to_about(self) -> dict[str, str]:
        """The facts for a manifest."""
        return {_TAG: self.tag, **write_numbers(self, _NUMBERS)}


class _StateFile(msgspec.Struct, frozen=True, kw_only=True):
    format: str
    version: int
    state: EraState
    check: str


def from_about(about: dict[str, str]) -> EraState | None:
    """The state in a manifest's facts; None: the backup is not of an era device.

    :raises DamagedError: the facts make no state.
    """
    if _TAG not in about:
        return None
    return EraState(tag=about[_TAG], volume="", backup="", **read_numbers(about, _NUMBERS, "era device"))


def read_state(path: Path) -> EraState:
    """The state in a file.

    :raises NotFoundError: there is no file. :raises DamagedError: it holds no state, or one that was changed.
    :raises UnsupportedError: it is of a newer version. :raises KernelError: it cannot be read.
    """
    try:
        with path.open("rb") as stream:
            data = stream.read(LARGEST_FILE + 1)
    except FileNotFoundError as error:
        raise NotFoundError(f"there is no state file {path}") from error
    except OSError as error:
        raise KernelError("read", error.errno or 0, device=str(path)) from error
    try:
        found = msgspec.json.decode(data[:LARGEST_FILE], type=_StateFile)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise DamagedError(f"the state file {path} is damaged: {error}") from error
    if found.format != FORMAT:
        raise DamagedError(f"the state file {path} is of format {found.format[:40]!r}, not {FORMAT!r}")
    if found.version > VERSION:
        raise UnsupportedError(f"the state file {path} is of version {found.version}", hint="use a newer drystone")
    if found.check != _check_of(found.state):
        raise DamagedError(f"the state file {path} is damaged: its check does not fit")
    return found.state


def write_state(path: Path, state: EraState) -> None:
    """Put the state into a file: durable when this returns, and the old one until then.

    :raises OSError: no room, no rights.
    """
    document = _StateFile(format=FORMAT, version=VERSION, state=state, check=_check_of(state))
    replace_file(path, msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n")


def _check_of(state: EraState) -> str:
    return checksum(msgspec.json.encode(state)).hex()
