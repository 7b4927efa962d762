from __future__ import annotations

import pytest

from drystone.formats.thin.devices import DeviceDetails
from drystone.formats.thin.dump import Choice, DeviceEnd, Part, Pool, dump
from drystone.formats.thin.dump_saved import dump_saved
from drystone.formats.thin.lines import Lines, Row
from drystone.formats.thin.salvage import Overrides, find_salvage
from drystone.testing.thin_image import ThinImage
from drystone.testing.thin_metadata import write_thin_metadata

ORIGIN = {block: block for block in range(600)}


@pytest.fixture
def image() -> ThinImage:
    devices = {1: ORIGIN, 2: ORIGIN | {599: 5000}, 7: {3: 700}}
    return ThinImage(write_thin_metadata(devices, nr_data_blocks=6000, transaction_id=5))


def save(image: ThinImage, choice: Choice | None = None, overrides: Overrides | None = None) -> list[Part]:
    return list(dump_saved(image.reader, find_salvage(image.reader, overrides), choice or Choice()))


def tell(parts: list[Part]) -> list[object]:
    """The parts, with lines as their kinds and runs."""
    return [
        (part.kinds.tolist(), part.runs.virtual.tolist(), part.runs.data.tolist(), part.runs.length.tolist())
        if isinstance(part, Lines)
        else part
        for part in parts
    ]


def test_without_damage_it_is_the_dump(image: ThinImage) -> None:
    assert tell(save(image)) == tell(list(dump(image.reader, image.superblock, Choice())))


def test_what_is_left_of_each_device_is_told_by_itself(image: ThinImage) -> None:
    image.spoil(image.get_value(image.get_root(1), 1))
    pool, *parts = save(image)
    assert isinstance(pool, Pool)
    assert pool.transaction == 5
    details = [part for part in parts if isinstance(part, DeviceDetails)]
    assert [(each.dev_id, each.mapped_blocks) for each in details] == [(1, 348), (2, 348), (7, 1)]
    assert [part for part in parts if isinstance(part, DeviceEnd)] == [DeviceEnd()] * 3
    lines = [part for part in parts if isinstance(part, Lines)]
    assert {kind for each in lines for kind in each.kinds.tolist()} == {Row.MAPPING}
    runs = [(each.virtual, each.data, each.length) for each in (part.runs for part in lines)]
    assert [tuple(row) for columns in runs for row in zip(*(each.tolist() for each in columns), strict=True)] == [
        *((0, 0, 252), (504, 504, 96)),
        *((0, 0, 252), (504, 504, 95), (599, 5000, 1)),
        (3, 700, 1),
    ]


def test_devices_and_mappings_can_be_left_out(image: ThinImage) -> None:
    image.spoil(image.get_root(1))
    assert [part.dev_id for part in save(image, Choice(devices=[2, 7])) if isinstance(part, DeviceDetails)] == [2, 7]
    kinds = [type(part) for part in save(image, Choice(mappings=False))]
    assert kinds == [Pool, *[DeviceDetails, DeviceEnd] * 3]


@pytest.mark.parametrize("damaged", [False, True])
def test_overrides_are_those_of_the_salvage(image: ThinImage, damaged: bool) -> None:
    if damaged:
        image.spoil(image.get_root(7))
    pool = save(image, Choice(transaction_id=8, nr_data_blocks=9999), Overrides(transaction_id=6))[0]
    assert isinstance(pool, Pool)
    assert (pool.transaction, pool.nr_data_blocks) == (6, 6000)
