"""What `transact` stores: the metadata of a group, in an envelope that says when, by what, and for which devices.

    {"schema": "drystone.dvm.version", "version": 1, "at": "2026-01-02T15:04:05+01:00", "command": ["update", ...],
     "devices": [{"uuid": "...", "path": "/dev/sdb"}], "metadata": <any JSON>}

The metadata is kept as it came, byte by byte, and not looked into. `devices` are those that hold this version: whoever
finds fewer knows that one is missing. Paths are hints.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from drystone.base.errors import DamagedError, UsageError

NOTHING = msgspec.Raw(b"null")


class Holder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A device that holds the version. :ivar path: where it was then."""

    uuid: str
    path: str


class Version(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The envelope. :ivar at: RFC 3339. :ivar command: what made it."""

    schema: Literal["drystone.dvm.version"] = "drystone.dvm.version"
    version: Literal[1] = 1
    at: str
    command: tuple[str, ...] = ()
    devices: tuple[Holder, ...] = ()
    metadata: msgspec.Raw = msgspec.field(default_factory=lambda: NOTHING)


def build_version(version: Version) -> bytes:
    """The bytes that are stored."""
    return msgspec.json.encode(version)


def parse_version(data: bytes) -> Version:
    """The envelope from what was stored; an empty one for the empty data that a new group begins with.

    :raises DamagedError: it is no envelope that this program knows.
    """
    if not data:
        return Version(at="")
    try:
        return msgspec.json.decode(data, type=Version)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise DamagedError(f"the stored metadata is no version document: {error}") from error


def parse_metadata(data: bytes, what: str) -> msgspec.Raw:
    """One JSON value, as it came but for blanks around it.

    :raises UsageError: nothing, no JSON, or more than one value.
    """
    if not data.strip():
        raise UsageError(f"{what}: it is empty, a JSON document was expected")
    try:
        msgspec.json.decode(data)
        data.decode()
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UsageError(f"{what}: {error}") from error
    return msgspec.Raw(data.strip())
