"""The layout that somebody wants a group to have: its volumes by name, kind and size. `plan.py` finds the way there.

{"schema": "drystone.dvm.layout", "version": 1,
 "volumes": [{"name": "db", "kind": "raid1", "size": 10737418240, "on": ["@ssd"]}],
 "others": "keep", "empty": ["/dev/sdc"]}
"""

from __future__ import annotations

from typing import Literal

import msgspec

from drystone.base.documents import decode
from drystone.base.errors import UsageError
from drystone.dvm.metadata.create import CHUNK
from drystone.dvm.metadata.thin import BLOCK

SCHEMA = "drystone.dvm.layout"
VERSION = 1
"""The version of the schema that this code reads."""

Kind = Literal["linear", "striped", "raid1", "raid5", "raid6", "raid10", "thin_pool", "thin"]


class Wanted(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """A volume that there is to be.

    :ivar size: bytes; rounded up to what the kind can have.
    :ivar legs: of a new volume: stripes, or legs of a raid set; 0: as few as the kind can have.
    :ivar chunk, block: bytes, of a new volume of stripes or of a thin pool.
    :ivar policy: how extents are chosen. :ivar on: devices (uuid, path or @TAG) they may be taken from; none: all.
    :ivar tags: None: as they are. :ivar pool: of a thin volume, the name of its pool.
    """

    name: str
    size: int
    kind: Kind = "linear"
    legs: int = 0
    chunk: int = CHUNK
    block: int = BLOCK
    policy: str = "anywhere"
    on: tuple[str, ...] = ()
    tags: tuple[str, ...] | None = None
    pool: str = ""
    nosync: bool = False


class Layout(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="schema", tag=SCHEMA):
    """What a group is to be like.

    :ivar volumes: in the order in which new ones are made. :ivar others: what happens to volumes that are not named.
    :ivar empty: devices (uuid or path) that are to hold nothing.
    """

    version: int = VERSION
    volumes: tuple[Wanted, ...] = ()
    others: Literal["keep", "remove"] = "keep"
    empty: tuple[str, ...] = ()


def parse_layout(data: bytes | str, what: str = "layout") -> Layout:
    """:raises UsageError: no layout, one of another version, or a name that stands twice."""
    layout = decode(data, Layout, what)
    if layout.version != VERSION:
        raise UsageError(f"{what}: version {layout.version} is not known", hint=f"this program reads version {VERSION}")
    names = [each.name for each in layout.volumes]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UsageError(f"{what}: {', '.join(twice)} stands twice")
    for each in layout.volumes:
        if (each.kind == "thin") != bool(each.pool):
            raise UsageError(f"{what}: {each.name}: `pool` is for thin volumes, which need one")
    return layout
