"""Where on a disk things lie: places, which are paths relative to its root, with `/` between names.

An object lies at its plain place, `<slot>/<folder>/<path>`, where people find it. What no file system can hold under
its name, or what clashes with another object there ("a" and "a/b"), lies at an odd place, which says nothing.
"""

from __future__ import annotations

import random

from drystone.base.errors import UsageError
from drystone.fleet.documents import Placement, Slot

OWN = ".drystone"
IDENTITY = f"{OWN}/disk.json"
BALLAST = f"{OWN}/ballast"
LOCK = f"{OWN}/lock"
INDEX = f"{OWN}/index.db"
TEMP = f"{OWN}/temp"
ODD = f"{OWN}/odd"
VERSIONS = f"{OWN}/versions"
PARTS = f"{OWN}/parts"
SLOTS: tuple[Slot, ...] = ("primary", "secondary")
FOLDERS = (OWN, TEMP, ODD, VERSIONS, PARTS, *SLOTS)
PLAIN = "="
"""How the index writes a plain place, which follows from slot, folder and key."""
_LONGEST_NAME = 255
_LONGEST_PLACE = 3000
_NAMES = random.Random()  # noqa: S311  # of nobody else, who would seed it; the system's costs a call of it


def is_name(name: str) -> bool:
    """Whether a file system can hold a file of that name (Linux: 255 bytes, no NUL, no `/`)."""
    fits = len(name.encode("utf-8", "surrogateescape")) <= _LONGEST_NAME
    return fits and name not in {"", ".", ".."} and "\0" not in name


def folder_of(placement: Placement, slot: Slot) -> str | None:
    """The folder of a placement's files; None when its name is none of a file system's: all its objects are odd."""
    if "/" in placement.folder or not is_name(placement.folder):
        return None
    return f"{slot}/{placement.folder}"


def path_within(placement: Placement, key: str) -> str:
    """The key without its host.

    :raises UsageError: the key is none of this placement.
    """
    if not placement.host:
        return key
    if not key.startswith(f"{placement.host}/"):
        raise UsageError(f"key {key!r} is none of host {placement.host!r}")
    return key[len(placement.host) + 1 :]


def plain_place(placement: Placement, slot: Slot, key: str) -> str | None:
    """Where people find the object; None when no file system can hold it there.

    :raises UsageError: the key is none of this placement.
    """
    path = path_within(placement, key)
    folder = folder_of(placement, slot)
    if folder is None or not all(is_name(name) for name in path.split("/")):
        return None
    place = f"{folder}/{path}"
    return place if len(place.encode()) <= _LONGEST_PLACE else None


def new_place(top: str) -> str:
    """A place of its own in the folder `top`, never used before."""
    return f"{top}/{_NAMES.getrandbits(128):032x}"


def parent_of(place: str) -> str:
    """The folder that holds it; "" for the root."""
    return place.rpartition("/")[0]
