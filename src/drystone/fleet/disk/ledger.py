"""What a change does to the index, and what has to be done to files after it: decided in one transaction.

The index leads and the files follow. A transaction says what is so from now on, and writes down what has to be done
for it (tables `moves` and `garbage`); then files are linked, renamed and unlinked; later the notes are taken away.
After a crash the notes that are left are done again (moving.py). So a file that the index refers to is at its place or
at the one it comes from, and its old content goes only after the new one is durable.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Container
from dataclasses import dataclass, field, replace

from drystone.base.errors import MismatchError, NotFoundError
from drystone.fleet.disk import places, rows
from drystone.fleet.disk.changes import Change, Entry
from drystone.fleet.disk.places import PLAIN
from drystone.fleet.disk.rows import Row
from drystone.fleet.documents import Placement, Slot


@dataclass(frozen=True, slots=True)
class Home:
    """A placement on this disk. :ivar number: of its row in the index."""

    number: int
    placement: Placement
    slot: Slot

    def place_of(self, row: Row) -> str:
        """Where the version's file is; "" for a delete marker."""
        if row.place != PLAIN:
            return row.place
        place = places.plain_place(self.placement, self.slot, row.entry.info.key)
        assert place is not None, "an object lies at its plain place only where it has one"
        return place


@dataclass(frozen=True, slots=True)
class Body:
    """Bytes that a change brings. :ivar temp: their place now. :ivar pieces: BLAKE3 of each piece."""

    temp: str
    pieces: bytes


@dataclass(frozen=True, slots=True)
class FileSteps:
    """What follows a change, in this order: links (durable before the next), moves, unlinks.

    :ivar number: of the placement. :ivar key: of the object, as in the index.
    :ivar links: (source, target), :ivar moves: (source, target). :ivar unlinks: (place, seq of the change).
    """

    number: int
    key: bytes
    links: tuple[tuple[str, str], ...] = ()
    moves: tuple[tuple[str, str], ...] = ()
    unlinks: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class _Known:
    """What is known of a key, and of the version that a change is about.

    :ivar current: its latest version that is no delete marker. :ivar last: of the others the one that was made last.
    :ivar same: the version of the change. :ivar removed: `seq` of its removal, -1 for none.
    """

    current: Row | None
    last: Row | None
    same: Row | None
    removed: int

    @property
    def seq(self) -> int:
        """The highest that is known of the version; -1 for none."""
        return max(self.removed, -1 if self.same is None else self.same.entry.info.seq)


class UnsettledError(Exception):
    """A file that is to be moved on was moved to `place` a moment ago, not durably: make that durable first."""

    def __init__(self, place: str) -> None:
        super().__init__(place)
        self.place = place


@dataclass(slots=True)
class _Draft:
    """The steps of a change as they come together, and what it adds to its placement's counts."""

    home: Home
    key: bytes
    seq: int
    settled: Container[str]
    links: list[tuple[str, str]] = field(default_factory=list)
    moves: list[tuple[str, str]] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    objects: int = 0
    size: int = 0
    newest: float = 0.0

    def check_settled(self, connection: sqlite3.Connection, place: str) -> None:
        """:raises UnsettledError: the note of the move to `place` is there still, and says where the file may be."""
        query = "SELECT 1 FROM moves WHERE target = ? AND NOT is_link"
        if place not in self.settled and connection.execute(query, (place,)).fetchone():
            raise UnsettledError(place)

    def finish(self, connection: sqlite3.Connection) -> FileSteps:
        """Write down what has to be done."""
        taken = {target for _, target in (*self.links, *self.moves)}
        left = [place for place in self.left if place not in taken]
        noted = [(pair, 1) for pair in self.links] + [(pair, 0) for pair in self.moves]
        for (source, target), is_link in noted:
            values = (target, source, is_link, self.home.number, self.key)
            connection.execute("INSERT OR REPLACE INTO moves VALUES (?, ?, ?, ?, ?)", values)
            connection.execute("DELETE FROM garbage WHERE place = ?", (target,))
        for place in left:
            connection.execute("DELETE FROM moves WHERE target = ?", (place,))
            connection.execute("INSERT OR REPLACE INTO garbage VALUES (?, ?)", (place, self.seq))
        connection.execute(
            "UPDATE placements SET objects = objects + ?, size = size + ?, newest = max(newest, ?) WHERE number = ?",
            (self.objects, self.size, self.newest, self.home.number),
        )
        unlinks = tuple((place, self.seq) for place in left)
        return FileSteps(self.home.number, self.key, tuple(self.links), tuple(self.moves), unlinks)


def apply_change(
    connection: sqlite3.Connection,
    home: Home,
    change: Change,
    body: Body | None,
    *,
    is_free: bool,
    settled: Container[str] = (),
) -> FileSteps | None:
    """Make `change` so; None: something as new or newer is known, and nothing is done.

    :param is_free: nothing is at the key's plain place, or an object of the index is.
    :param settled: places whose files are durable there, whatever the notes say.
    :raises UnsettledError: another place must be.
    :raises NotFoundError: an update of a version that is not here.
    :raises MismatchError: another version was made by the same change, or a put lacks its bytes.
    """
    info = change.info
    key = rows.encode_key(info.key)
    known = _look_up(connection, home.number, key, info.version_id)
    if known.seq >= info.seq:
        return None
    draft = _Draft(home, key, info.seq, settled)
    if change.kind == "update":
        _update(connection, home, change, key)
    elif change.kind == "remove":
        _remove(connection, draft, change, known, is_free=is_free)
    else:
        _put(connection, draft, change, known, body, is_free=is_free)
    return draft.finish(connection)


def _look_up(connection: sqlite3.Connection, number: int, key: bytes, version: str) -> _Known:
    current = rows.read_current(connection, number, key)
    last = rows.read_other(connection, number, key, None)
    same = next((row for row in (current, last) if row is not None and row.entry.info.version_id == version), None)
    if same is None and last is not None:
        same = rows.read_other(connection, number, key, version)
    removed = connection.execute(
        "SELECT seq FROM tombstones WHERE placement = ? AND key = ? AND version = ?", (number, key, version)
    ).fetchone()
    return _Known(current, last, same, -1 if removed is None else removed[0])


def _update(connection: sqlite3.Connection, home: Home, change: Change, key: bytes) -> None:
    info = change.info
    values = (info.seq, info.modified, info.etag, rows.pack_extra(info), home.number, key, info.version_id)
    for table in ("objects", "versions"):
        if connection.execute(
            f"UPDATE {table} SET seq = ?, modified = ?, etag = ?, extra = ? "  # noqa: S608  # our names
            "WHERE placement = ? AND key = ? AND version = ?",
            values,
        ).rowcount:
            return
    raise NotFoundError(f"there is no version {info.version_id} of {info.key!r} to update", key=info.key)


def _remove(connection: sqlite3.Connection, draft: _Draft, change: Change, known: _Known, *, is_free: bool) -> None:
    if change.remember:
        values = (draft.home.number, draft.key, change.info.version_id, change.info.seq)
        connection.execute("INSERT OR REPLACE INTO tombstones VALUES (?, ?, ?, ?)", values)
    if known.same is None:
        return
    is_free = _take_out(connection, draft, known.same) or is_free
    if known.last is not None:
        _promote(connection, draft, is_free=is_free)


def _put(
    connection: sqlite3.Connection, draft: _Draft, change: Change, known: _Known, body: Body | None, *, is_free: bool
) -> None:
    info, home = change.info, draft.home
    if (body is None) != info.delete_marker:
        raise MismatchError(f"the put of {info.key!r} comes without its bytes, or a delete marker with some")
    owns = False  # its plain place, by the version that is there now
    if known.same is not None:
        owns = _take_out(connection, draft, known.same)
    if known.removed >= 0:
        values = (home.number, draft.key, info.version_id)
        connection.execute("DELETE FROM tombstones WHERE placement = ? AND key = ? AND version = ?", values)
    current, last = known.current, known.last
    if known.same is not None and known.same is current:
        current = None
    elif known.same is not None and known.same is last:
        last = rows.read_other(connection, home.number, draft.key, None)
    made = [row.entry.made for row in (current, last) if row is not None]
    if change.made in made:
        raise MismatchError(f"two versions of {info.key!r} are said to be made by change {change.made}")
    is_latest = change.made > max(made, default=-1)
    if is_latest and current is not None:
        owns = _demote(connection, draft, current) or owns
    entry = Entry(info, change.made)
    if body is None:
        rows.insert_row(connection, "versions", home.number, Row(entry, "", b""))
    else:
        fits = is_latest and (owns or _may_be_plain(connection, draft, is_free=is_free))
        place = PLAIN if fits else places.new_place(places.ODD if is_latest else places.VERSIONS)
        row = Row(entry, place, body.pieces)
        rows.insert_row(connection, "objects" if is_latest else "versions", home.number, row)
        draft.moves.append((body.temp, home.place_of(row)))
        draft.objects += is_latest
        draft.size += info.size
    draft.newest = info.modified
    if not is_latest and current is None:
        _promote(connection, draft, is_free=is_free or owns)


def _take_out(connection: sqlite3.Connection, draft: _Draft, row: Row) -> bool:
    """Remove a row and leave its place; whether the key's plain place becomes free by it."""
    number, key = draft.home.number, draft.key
    draft.size -= row.entry.info.size
    if row.place:
        draft.left.append(draft.home.place_of(row))
    found = connection.execute(
        "DELETE FROM objects WHERE placement = ? AND key = ? AND made = ?", (number, key, row.entry.made)
    ).rowcount
    draft.objects -= found
    if not found:
        connection.execute(
            "DELETE FROM versions WHERE placement = ? AND key = ? AND made = ?", (number, key, row.entry.made)
        )
    return row.place == PLAIN


def _demote(connection: sqlite3.Connection, draft: _Draft, row: Row) -> bool:
    """The current version is that no more; whether the key's plain place becomes free by it."""
    home = draft.home
    connection.execute("DELETE FROM objects WHERE placement = ? AND key = ?", (home.number, draft.key))
    draft.objects -= 1
    was_plain = row.place == PLAIN
    if was_plain:
        draft.check_settled(connection, home.place_of(row))
        kept = replace(row, place=places.new_place(places.VERSIONS))
        draft.links.append((home.place_of(row), kept.place))
        draft.left.append(home.place_of(row))
        row = kept
    rows.insert_row(connection, "versions", home.number, row)
    return was_plain


def _promote(connection: sqlite3.Connection, draft: _Draft, *, is_free: bool) -> None:
    """When the key has no current version and the last one made is no delete marker, that is the current one."""
    home, key = draft.home, draft.key
    if rows.read_current(connection, home.number, key) is not None:
        return
    row = rows.read_other(connection, home.number, key, None)
    if row is None or not row.place:
        return
    connection.execute(
        "DELETE FROM versions WHERE placement = ? AND key = ? AND made = ?", (home.number, key, row.entry.made)
    )
    if _may_be_plain(connection, draft, is_free=is_free):
        draft.check_settled(connection, row.place)
        source, row = row.place, replace(row, place=PLAIN)
        draft.moves.append(_from_where(draft, source, home.place_of(row)))
        draft.left.append(source)
    rows.insert_row(connection, "objects", home.number, row)
    draft.objects += 1


def _from_where(draft: _Draft, source: str, target: str) -> tuple[str, str]:
    """A move to `target` of what is at `source` or, by an earlier move of the same change, comes there."""
    for each in draft.moves:
        if each[1] == source:
            draft.moves.remove(each)
            return each[0], target
    return source, target


def _may_be_plain(connection: sqlite3.Connection, draft: _Draft, *, is_free: bool) -> bool:
    """Whether an object can lie at its plain place: nothing is there, and no folder is where another has a file."""
    home, key = draft.home, draft.key
    if not is_free or places.plain_place(home.placement, home.slot, key.decode()) is None:
        return False
    names = key.split(b"/")
    first = 2 if home.placement.host else 1
    above = [b"/".join(names[:count]) for count in range(first, len(names))]
    for folder in above:
        if connection.execute(
            "SELECT 1 FROM objects WHERE placement = ? AND key = ? AND place = ?", (home.number, folder, PLAIN)
        ).fetchone():
            return False
    below = connection.execute(
        "SELECT 1 FROM objects WHERE placement = ? AND key > ? AND key < ? AND place = ? LIMIT 1",
        (home.number, key + b"/", key + b"0", PLAIN),
    ).fetchone()
    return below is None
