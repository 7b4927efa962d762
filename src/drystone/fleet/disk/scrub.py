"""Looking for damage: every piece of every version against its sum, and files against rows."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Literal

import msgspec

from drystone.base.errors import DamagedError, MismatchError, NotFoundError
from drystone.fleet.disk import comparing, places
from drystone.fleet.disk.changes import Compared
from drystone.fleet.disk.ledger import Home
from drystone.fleet.disk.pace import Pace
from drystone.fleet.disk.reader import Reader
from drystone.fleet.disk.reading import open_version
from drystone.fleet.disk.sums import PIECE
from drystone.fleet.disk.workings import Workings

_PAGE = 256


class ScrubFinding(msgspec.Struct, frozen=True):
    """What is wrong with a version.

    :ivar kind: "damaged": a piece is not what was written. "missing": its file is gone.
    :ivar piece: number of the piece; -1 when the file is missing. :ivar seq: of the version.
    """

    kind: Literal["damaged", "missing"]
    placement: str
    key: str
    version_id: str
    seq: int
    piece: int


class ScrubPlace(msgspec.Struct, frozen=True):
    """How far a scrub came: all of `placement` up to `key`. :ivar size: bytes read since the last such value."""

    placement: str
    key: str
    size: int


def scrub(disk: Workings, after: ScrubPlace | None, pace: Pace) -> Iterator[ScrubFinding | ScrubPlace]:
    """Read everything once, from where an earlier scrub came to; findings, and how far it is from time to time.

    :raises UnavailableError: the disk is bad.
    """
    homes = sorted(disk.homes.all().values(), key=lambda each: each.placement.id)
    for home in homes:
        if after is not None and home.placement.id < after.placement:
            continue
        key = after.key if after is not None and home.placement.id == after.placement else ""
        while True:
            with disk.reading("scrub") as connection:
                page = comparing.compare_page(connection, home.number, key, _PAGE, 0)
            done = 0
            for each in page.entries:
                if each.digest:
                    done += each.size
                    yield from _scrub_version(disk, home, each, pace)
                if not pace.spend(0):
                    return
            if page.entries:
                yield ScrubPlace(home.placement.id, page.entries[-1].key, done)
            key = page.after
            if not key:
                break


def _scrub_version(disk: Workings, home: Home, each: Compared, pace: Pace) -> Iterator[ScrubFinding]:
    """Findings of one version; none when it was changed or removed meanwhile."""

    def finding(kind: Literal["damaged", "missing"], piece: int) -> ScrubFinding:
        return ScrubFinding(kind, home.placement.id, each.key, each.version_id, each.seq, piece)

    try:
        reader: Reader = open_version(disk, home, each.key, each.version_id, seq=each.seq)
    except (NotFoundError, MismatchError):
        return
    except DamagedError:
        yield finding("missing", -1)
        return
    buffer = bytearray(min(PIECE, reader.info.size))
    with reader:
        for number in range(reader.pieces):
            try:
                reader.read_piece(number, buffer)
            except DamagedError:
                yield finding("damaged", number)
            if not pace.spend(len(buffer)):
                return


def find_strays(disk: Workings) -> Iterator[str]:
    """Places of files that the index does not know, in the folders of objects and among odd ones and versions.

    Those under `.drystone` may be removed; the others were put there by somebody else, and stay.
    """
    folders: dict[str, list[Home]] = {}
    for home in disk.homes.all().values():
        folder = places.folder_of(home.placement, home.slot)
        if folder is not None:
            folders.setdefault(folder, []).append(home)
    for folder, homes in folders.items():
        yield from _find_plain_strays(disk, homes, folder)
    own = [f"{top}/{name}" for top in (places.ODD, places.VERSIONS) for name in disk.files.names(top)]
    with disk.reading("strays") as connection:
        known = {
            place
            for (place,) in connection.execute(
                "SELECT place FROM objects WHERE place <> ?1 UNION ALL SELECT place FROM versions WHERE place <> ?1",
                (places.PLAIN,),
            )
        }
    yield from (place for place in own if place not in known and disk.files.exists(place))


def _find_plain_strays(disk: Workings, homes: list[Home], top: str) -> Iterator[str]:
    """Those in one folder, which several placements may have had one after another."""
    root = os.fsencode(disk.root) + b"/"
    start = len(root) + len(top.encode()) + 1
    for folder, _, names in os.walk(root + top.encode()):
        for name in names:
            path = os.path.join(folder, name)  # noqa: PTH118  # bytes
            if not any(_is_known(disk, home, path[start:]) for home in homes) and os.path.lexists(path):
                yield path[len(root) :].decode("utf-8", "surrogateescape")


def _is_known(disk: Workings, home: Home, path: bytes) -> bool:
    key = f"{home.placement.host}/".encode() + path if home.placement.host else path
    query = "SELECT 1 FROM objects WHERE placement = ? AND key = ? AND place = ?"
    with disk.trouble.told("strays"), disk.index.looking() as connection:
        return connection.execute(query, (home.number, key, places.PLAIN)).fetchone() is not None
