"""Clones as values: how much is copied at once, what room the notes take, and what becomes of a clone in the end."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from drystone.base.errors import UsageError
from drystone.cluster.model.cloning import complete, groups_of, is_copying, notes_size, region_of, settle
from drystone.cluster.model.dlv import Dlv, Source
from drystone.cluster.model.extents import EXTENT
from drystone.cluster.model.layout import LARGEST_SIZE
from drystone.dvm.clone import LARGEST_REGION

DLV = Dlv(id="1", name="new", dvg="g", size=1 << 30, initial_size=1 << 30, mirrors=2, stripes=1, chunk=128, block=128)
SOURCE = Source(dlv="0", name="old", snapshot="s", thin_id=1)


@pytest.mark.parametrize(
    ("size", "sectors"), [(4096, 128), (1 << 40, 128), ((1 << 40) + 4096, 256), (LARGEST_SIZE, LARGEST_REGION)]
)
def test_regions_are_small_until_there_are_too_many(size: int, sectors: int) -> None:
    assert region_of(size) == sectors


def test_the_first_group_has_room_for_the_notes_in_whole_blocks() -> None:
    _, data = groups_of(1 << 30, 1 << 30, 1, 128)
    assert (1 << 30) + notes_size(1 << 30) <= data.size < (1 << 30) + notes_size(1 << 30) + 65536 + EXTENT
    _, large = groups_of(1 << 30, 1 << 30, 1, 1 << 21)
    assert large.size == (1 << 30) + (1 << 30)
    assert notes_size(LARGEST_SIZE) % 512 == 0


def test_a_clone_is_complete_once_and_settled_after_that() -> None:
    clone = replace(DLV, source=SOURCE, epoch=7)
    assert is_copying(clone)
    whole = complete(clone)
    assert (is_copying(whole), whole.source) == (False, replace(SOURCE, status="whole"))
    assert (whole.epoch, whole.transaction_id, whole.messages) == (8, 2, ("delete 16777215",))
    assert settle(whole) == replace(whole, source=None)
    for other in (whole, DLV):
        with pytest.raises(UsageError):
            complete(other)
