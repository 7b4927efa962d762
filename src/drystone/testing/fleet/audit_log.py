"""The audit log in a database whose older entries go to files: a check for each kind of database."""

from __future__ import annotations

from pathlib import Path
from random import Random

import msgspec

from drystone.base.errors import MismatchError
from drystone.fleet.documents import Bucket
from drystone.fleet.mapping.archive import BATCH, Archive, ArchivedEntry
from drystone.fleet.mapping.database import NotLeadingError
from drystone.fleet.mapping.model import BucketChange
from drystone.fleet.mapping.sql import SqlDatabase

_DAY = 86_400.0


def read_files(folder: Path) -> dict[int, ArchivedEntry]:
    """All entries of all files, by number. :raises AssertionError: two differ that have one number."""
    found: dict[int, ArchivedEntry] = {}
    for path in sorted(folder.glob("*.jsonl")):
        for line in path.read_bytes().splitlines():
            entry = msgspec.json.decode(line, type=ArchivedEntry)
            assert found.setdefault(entry.id, entry) == entry
    return found


def check_moved_entries(database: SqlDatabase, folder: Path, seed: int) -> None:
    """Entries are written and moved, and whoever moves them is stopped anywhere: each is in the database or in a file.

    :param database: open, and empty.
    """
    random = Random(seed)  # noqa: S311  # a test's
    term = database.take_lease("one", "", 1e6).term
    archive = Archive(folder, days=10, most=40)
    now, subjects = 0.0, 0
    for _ in range(60):
        now += random.choice((0.0, 0.2, 1.0, 5.0)) * _DAY
        changes = [BucketChange(Bucket(f"b{subjects + number}", "shared", "", 0.0), "made") for number in range(7)]
        subjects += len(changes)
        database.commit(term, database.load().version, changes, now)
        oldest, newest = database.oldest_audit(BATCH)
        chosen = archive.choose(oldest, newest, now)
        assert all(each.at < now - 9 * _DAY or each.id <= newest - 40 for each in chosen)
        if chosen and random.random() < 0.8:
            archive.write(chosen)
            if random.random() < 0.7:
                database.drop_audit(term, chosen)
        kept, filed = {each.id: each for each in database.oldest_audit(BATCH)[0]}, read_files(folder)
        assert {each.subject for each in (kept | filed).values()} == {f"b{number}" for number in range(subjects)}
        assert all(kept[each] == filed[each] for each in kept.keys() & filed.keys())
    assert filed, "some were moved"
    _check_refusals(database, term)


def _check_refusals(database: SqlDatabase, term: int) -> None:
    """Nothing is deleted in another term, nor when what is there is not what was moved."""
    oldest, newest = database.oldest_audit(BATCH)
    for wrong_term, entries, kind in ((term + 1, oldest, NotLeadingError), (term, oldest[1:], MismatchError)):
        try:
            database.drop_audit(wrong_term, entries)
        except kind:
            continue
        raise AssertionError(f"no {kind.__name__}")
    assert database.oldest_audit(BATCH) == (oldest, newest)
