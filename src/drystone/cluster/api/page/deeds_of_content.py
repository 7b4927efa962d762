"""Deeds about what a volume holds: larger, back to a snapshot, a copy of it, a backup."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import Connection

from drystone.cluster.api import backups, clones, resizes, rollbacks
from drystone.cluster.api.documents import NewBackup, NewClone, NewSize, Preview, RollbackWish
from drystone.cluster.api.page.deed import Deed, Field, Values, name_of, read_as
from drystone.cluster.state.answers import Answer
from drystone.cluster.state.database import Work

_RESIZE = (
    Field("size", "Size", "that its users see, no less than now; such as 200G"),
    Field("grow_filesystem", "The file system on it", "an xfs grows only while it is mounted", "false",
          (("false", "stays as it is"), ("true", "grows too, where it is ext4 or xfs"))),
)  # fmt: skip
_CLONE = (
    Field("name", "Name of the new volume", "two or more of a-z A-Z 0-9 _ . -"),
    Field("snapshot", "Snapshot", "that is copied; if empty, one that is made now", required=False),
)
_ROLL_BACK = (Field("snapshot", "Snapshot", hidden=True),)
_BACK_UP = (Field("repository", "To which repository", "as the configuration of its ihost calls it", "nightly"),)


def _new_size(values: Values) -> NewSize:
    return read_as(values, NewSize, size=True)


def _resize(values: Values) -> Callable[[Work], Answer]:
    wanted = _new_size(values)
    return lambda work: resizes.start(work, name_of(values), wanted)


def _roll_back(values: Values) -> Callable[[Work], Answer]:
    wanted = read_as(values, RollbackWish)
    return lambda work: rollbacks.start(work, name_of(values), wanted)


def _preview_rollback(connection: Connection, values: Values) -> Preview:
    return rollbacks.preview(connection, name_of(values), read_as(values, RollbackWish))


def _clone(values: Values) -> Callable[[Work], Answer]:
    wanted = read_as(values, NewClone)
    return lambda work: clones.start(work, name_of(values), wanted)


def _back_up(values: Values) -> Callable[[Work], Answer]:
    wanted = read_as(values, NewBackup)
    return lambda work: backups.start(work, name_of(values), wanted)


DEEDS_OF_CONTENT = (
    Deed(
        "resize", "dlv", "Make a volume larger", "Make it larger",
        "Its users see the new size at once where it is attached, else with its next attachment. Space is taken as it"
        " is written to. No volume is made smaller.",
        _resize, lambda _: _RESIZE,
        lambda connection, values: resizes.preview(connection, name_of(values), _new_size(values)),
    ),
    Deed(
        "roll-back", "dlv", "Roll a volume back", "Roll it back",
        "The volume holds again what its snapshot does. All that was written to it since is lost.",
        _roll_back, lambda _: _ROLL_BACK, _preview_rollback, is_grave=True,
    ),
    Deed(
        "clone", "dlv", "Clone a volume", "Clone it",
        "A new volume with what this one holds, or a snapshot of it. It can be used at once, at the same ihost, and is"
        " copied meanwhile.",
        _clone, lambda _: _CLONE,
        lambda connection, values: clones.preview(connection, name_of(values), read_as(values, NewClone)), makes=True,
    ),
    Deed(
        "back-up", "dlv", "Back a volume up", "Back it up",
        "Its ihost reads what differs from the last backup there, while the volume is used, out of a snapshot that is"
        " made for it.",
        _back_up, lambda _: _BACK_UP,
    ),
)  # fmt: skip
