from __future__ import annotations

import pytest

from drystone.formats.pdata.survey import Survey
from drystone.formats.thin import losses
from drystone.formats.thin.findings import Affected
from drystone.formats.thin.losses import Losses, find_losses, list_sound_leaves
from drystone.formats.thin.mappings import MAPPINGS
from drystone.testing.thin_image import ThinImage
from drystone.testing.thin_metadata import write_thin_metadata

ORIGIN = {block: block for block in range(1024)}


@pytest.fixture
def image() -> ThinImage:
    """Three levels of 8: leaves of 8 blocks, 16 nodes of 8 leaves, and so on."""
    devices = {1: ORIGIN, 2: ORIGIN | {5: 2000}, 3: ORIGIN}
    return ThinImage(write_thin_metadata(devices, fan_out=8))


def survey(image: ThinImage) -> tuple[Survey, dict[int, int]]:
    roots = {dev_id: image.get_root(dev_id) for dev_id in (1, 2, 3)}
    found = Survey(image.reader)
    for _ in found.visit_trees(MAPPINGS, roots.values(), owners=roots.keys()):
        pass
    return found, roots


def find(image: ThinImage) -> Losses:
    found, roots = survey(image)
    named = {damage.owner for damage in found.damages}
    broken = {dev: root for dev, root in roots.items() if dev in named or not found.is_whole(root)}
    return find_losses(found, found.damages, broken)


def child(image: ThinImage, block: int, *places: int) -> int:
    for place in places:
        block = image.get_value(block, place)
    return block


def test_each_device_that_shares_a_leaf_is_named(image: ThinImage) -> None:
    leaf = child(image, image.get_root(1), 1, 2, 3)
    image.spoil(leaf)
    found, roots = survey(image)
    assert find_losses(found, found.damages, roots) == {leaf: [Affected(dev, 664, 671) for dev in (1, 2, 3)]}


def test_an_inner_node(image: ThinImage) -> None:
    node = child(image, image.get_root(2), 0, 0)
    image.spoil(node)
    (parts,) = find(image).values()
    assert parts == [Affected(2, 0, 63)]


def test_a_pointer_that_leads_nowhere_is_its_holder_s_fault(image: ThinImage) -> None:
    holder = child(image, image.get_root(1), 1, 0)
    image.put_value(holder, 7, 1 << 50)
    found = find(image)
    assert list(found) == [holder]
    assert [part.dev_id for part in found[holder]] == [1, 2, 3]
    assert {part.high - part.low for part in found[holder] if part.high is not None} == {7}


def test_a_shared_leaf_that_does_not_fit_below_one_of_its_parents(image: ThinImage) -> None:
    holder = child(image, image.get_root(2), 0, 0)
    other = child(image, image.get_root(1), 1, 0, 0)
    image.put_value(holder, 3, other)
    assert find(image) == {other: [Affected(2, 24, 31)]}


def test_roots_and_places_beyond_the_end(image: ThinImage) -> None:
    found, _ = survey(image)
    assert find_losses(found, [], {9: 1 << 40}) == {1 << 40: [Affected(9)]}
    assert list_sound_leaves(found, 1 << 40).tolist() == []


def test_when_it_takes_too_long_whole_devices_are_named(image: ThinImage, monkeypatch: pytest.MonkeyPatch) -> None:
    image.spoil(child(image, image.get_root(2), 1, 1, 1))
    monkeypatch.setattr(losses, "MOST_EDGES", 10)
    assert {part for parts in find(image).values() for part in parts} == {Affected(1), Affected(2), Affected(3)}


def test_sound_leaves_come_in_order_of_keys(image: ThinImage) -> None:
    image.spoil(child(image, image.get_root(1), 1, 0))
    found, roots = survey(image)
    blocks = list_sound_leaves(found, roots[1])
    assert len(blocks) == 120
    firsts = found.visits.firsts[blocks]
    assert (firsts[1:] > firsts[:-1]).all()
