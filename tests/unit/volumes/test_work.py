"""Long work is shown while it lasts."""

from __future__ import annotations

import pytest

from drystone.volumes.work import Item, Work


def test_progress_is_shown_until_the_end() -> None:
    work = Work()
    with work.doing("backup", "db@monday") as report:
        assert work.list() == [Item(1, "backup", "db@monday")]
        report(5, 10)
        assert work.list() == [Item(1, "backup", "db@monday", 5, 10)]
    assert work.list() == []


def test_the_same_work_twice_is_two_pieces() -> None:
    work = Work()
    with work.doing("backup", "db@monday") as first:
        with work.doing("backup", "db@monday") as second:
            second(1, 2)
        first(3, 4)
        assert work.list() == [Item(1, "backup", "db@monday", 3, 4)]


def test_a_failure_ends_it() -> None:
    work = Work()
    with pytest.raises(ValueError, match="x"), work.doing("backup", "db"):
        raise ValueError("x")
    assert work.list() == []
