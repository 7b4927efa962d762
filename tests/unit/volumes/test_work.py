"""Long work is shown while it lasts."""

from __future__ import annotations

import pytest

from drystone.volumes.work import Item, Work


def test_progress_is_shown_until_the_end() -> None:
    work = Work()
    with work.doing("k", "backup", "db@monday") as report:
        assert work.list() == [Item("k", "backup", "db@monday")]
        report(5, 10)
        assert work.list() == [Item("k", "backup", "db@monday", 5, 10)]
    assert work.list() == []


def test_a_failure_ends_it() -> None:
    work = Work()
    with pytest.raises(ValueError, match="x"), work.doing("k", "backup", "db"):
        raise ValueError("x")
    assert work.list() == []
