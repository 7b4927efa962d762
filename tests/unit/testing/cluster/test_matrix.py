"""The fault matrix's cells: each can be named, and a seed goes through all of them."""

from __future__ import annotations

import pytest

from drystone.base.errors import UsageError
from drystone.testing.cluster.matrix import Cell, all_cells, is_status, is_whole, parse, plan


def test_a_seed_is_an_order_in_which_every_cell_is_once() -> None:
    cells = all_cells()
    assert plan(7, 20) == plan(7, 20)
    assert plan(7, 20) != plan(8, 20)
    assert sorted(plan(7, len(cells))) == sorted(cells)
    assert len(plan(7, len(cells) + 5)) == len(cells) + 5


def test_a_cell_is_replayed_by_its_name() -> None:
    assert parse("failover/ihost-link/2") == Cell("failover", "ihost-link", 2)
    assert all(parse(str(each)) == each for each in all_cells())
    for wrong in ("failover/ihost-link", "failover/sun/1", "failover/api/9"):
        with pytest.raises(UsageError):
            parse(wrong)


def test_where_a_volume_stands() -> None:
    whole = {"status": "attached", "legs": [{"in_sync": True}, {"in_sync": True}]}
    assert is_whole(whole)
    assert not is_whole(None)
    assert not is_whole(whole | {"legs": [{"in_sync": True}, {"in_sync": False}]})
    assert not is_whole(whole | {"status": "attaching"})
    assert is_status("attached")(whole)
    assert not is_status("attached")(None)
