"""Changes of one key, and what a disk knows of it: the values that a leader sends to its members.

A key here is the whole key within its bucket (`host/path`); the host's part of it is the placement's.

**The rule of a change**: of each (key, version id) the change with the highest `seq` counts, whatever the order in
which changes arrive; the latest version of a key is the one with the highest `made`.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from drystone.fleet.objects import ObjectInfo


class Change(msgspec.Struct, frozen=True):
    """One change of one version of one key.

    :ivar kind: "put": the version is as `info` says, with the bytes that came with it (a delete marker has none).
        "update": its headers, user metadata, tags, lock, ... become those of `info`; its bytes stay.
        "remove": the version is no more; of `info` only key, version_id and seq count.
    :ivar placement: its id. :ivar info: as it is afterwards; `latest` is not looked at. `seq` is the change's.
    :ivar made: the `seq` of the put that made the version: orders the versions of a key. For a new put equal to
        info.seq; for an update or a copy that of the version; not looked at for a removal.
    :ivar remember: a removal is remembered (a tombstone) until `Disk.forget_removals`: so that an older put that is
        copied later does not bring the version back.
    """

    kind: Literal["put", "update", "remove"]
    placement: str
    info: ObjectInfo
    made: int
    remember: bool = False


class Entry(msgspec.Struct, frozen=True):
    """A version that a disk holds. :ivar made: see Change."""

    info: ObjectInfo
    made: int


class Compared(msgspec.Struct, frozen=True):
    """A version in a page for copying. :ivar size: bytes. :ivar digest: "" for a delete marker."""

    key: str
    version_id: str
    seq: int
    made: int
    size: int
    digest: str


class ComparedPage(msgspec.Struct, frozen=True):
    """A page of versions for copying: in the order of keys (UTF-8 bytes), of each key all its versions.

    :ivar as_of: every change up to this `seq` that the leader committed is in it. :ivar after: the key to pass for the
        next page; "" at the end: then the page covers all keys above the one it was asked for.
    """

    entries: tuple[Compared, ...]
    as_of: int
    after: str


class Dirty(msgspec.Struct, frozen=True):
    """A key whose members may have another state than the leader. :ivar seq: of the change that was taken back."""

    key: str
    seq: int


class PartRecord(msgspec.Struct, frozen=True):
    """A part of an upload.

    :ivar size: bytes. :ivar md5: hex. :ivar modified: seconds since 1970. :ivar digest: as ObjectInfo.digest.
    """

    number: int
    size: int
    md5: str
    modified: float
    checksums: dict[str, str] = {}
    digest: str = ""
