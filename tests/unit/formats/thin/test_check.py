from __future__ import annotations

from dataclasses import replace

import pytest

from drystone.base.errors import NotFoundError
from drystone.formats.thin.check import CheckOptions, Report, check_metadata
from drystone.formats.thin.findings import KINDS, Affected, Finding, Severity
from drystone.testing.thin_image import ThinImage
from drystone.testing.thin_metadata import BlockMap, write_thin_metadata

ORIGIN: BlockMap = {block: block for block in range(600)}
SNAPSHOT: BlockMap = {**{block: block for block in range(300)}, **{block: block + 1000 for block in range(300, 600)}}
SPARSE: BlockMap = {block * 3: 2000 + block for block in range(50)}


@pytest.fixture
def image() -> ThinImage:
    return ThinImage(write_thin_metadata({1: ORIGIN, 2: SNAPSHOT, 7: SPARSE}, nr_data_blocks=4000, nr_blocks=1024))


def check(image: ThinImage, options: CheckOptions | None = None) -> Report:
    report = check_metadata(image.reader, options)
    assert {finding.kind for finding in report.findings} <= KINDS.keys()
    return report


def the_only(report: Report, kind: str) -> Finding:
    (found,) = [finding for finding in report.findings if finding.kind == kind]
    return found


def test_sound_metadata_has_no_findings(image: ThinImage) -> None:
    report = check(image)
    assert report.findings == []
    assert report.is_sound()
    assert (report.devices, report.mappings, report.free_blocks) == (3, 1250, 1007)


def test_a_pool_without_devices_is_sound() -> None:
    assert check(ThinImage(write_thin_metadata({}))).findings == []


def test_trees_of_several_levels_are_sound() -> None:
    blocks = {block: block for block in range(3000)}
    image = ThinImage(write_thin_metadata({1: blocks, 2: blocks | {17: 5000}}, fan_out=8))
    report = check(image)
    assert report.is_sound(ignore_mild=True)
    assert {finding.kind for finding in report.findings} == {"underfull"}
    assert report.mappings == 6000


def test_a_damaged_leaf_names_every_device_that_shares_it(image: ThinImage) -> None:
    shared = image.get_value(image.get_root(1), 0)
    assert shared == image.get_value(image.get_root(2), 0)
    image.spoil(shared)
    found = the_only(check(image), "damaged")
    assert (found.block, found.what, found.severity) == (shared, "mapping tree of device 1: checksum", Severity.FATAL)
    assert found.affects == (Affected(1, 0, 251), Affected(2, 0, 251))
    assert "affects device 1 blocks 0 to 251, device 2 blocks 0 to 251" in found.describe()


def test_damage_in_the_last_leaf_reaches_to_the_end(image: ThinImage) -> None:
    image.spoil(image.get_value(image.get_root(1), 2))
    assert the_only(check(image), "damaged").affects == (Affected(1, 504, None),)


def test_a_damaged_root_loses_the_whole_device(image: ThinImage) -> None:
    image.spoil(image.get_root(2))
    found = the_only(check(image), "damaged")
    assert (found.block, found.affects) == (image.get_root(2), (Affected(2),))


def test_a_damaged_top_level_hits_all_devices(image: ThinImage) -> None:
    image.spoil(image.superblock.data_mapping_root)
    assert the_only(check(image), "damaged").affects == (Affected(1), Affected(2), Affected(7))


def test_what_damaged_trees_hide_is_no_leak(image: ThinImage) -> None:
    image.spoil(image.get_root(7))
    kinds = {finding.kind for finding in check(image).findings}
    assert kinds == {"damaged", "unchecked"}


def test_keys_out_of_order(image: ThinImage) -> None:
    image.put_key(image.get_value(image.get_root(1), 0), 5, 99)
    found = the_only(check(image), "damaged")
    assert (found.expected, found.found) == ("above 99", 6)


def test_a_pointer_beyond_the_end(image: ThinImage) -> None:
    root = image.get_root(1)
    image.put_value(root, 1, 5000)
    found = the_only(check(image), "damaged")
    assert (found.block, found.expected, found.found) == (root, "1 to 1023", 5000)
    assert found.affects == (Affected(1, 252, 503),)


def test_an_underfull_node_is_mild_and_its_entries_count(image: ThinImage) -> None:
    root = image.get_root(1)
    leaf = image.get_value(root, 2)
    image.put_count_of_entries(leaf, 20)
    report = check(image)
    found = the_only(report, "underfull")
    assert (found.severity, found.block, found.expected, found.found) == (Severity.MILD, leaf, "84 or more", 20)
    assert the_only(report, "wrong-mapped-blocks").expected == 524


def test_mapped_blocks_in_the_details(image: ThinImage) -> None:
    image.put_value(image.superblock.device_details_root, 0, 601, value_size=24)
    found = the_only(check(image), "wrong-mapped-blocks")
    assert (found.expected, found.found, found.affects) == (600, 601, (Affected(1),))


def test_a_device_without_details(image: ThinImage) -> None:
    image.put_count_of_entries(image.superblock.device_details_root, 2)
    assert the_only(check(image), "missing-details").affects == (Affected(7),)


def test_a_device_without_mappings(image: ThinImage) -> None:
    image.put_count_of_entries(image.superblock.data_mapping_root, 2)
    report = check(image)
    assert the_only(report, "missing-mappings").affects == (Affected(7),)
    leaks = [(each.begin, each.end) for each in report.findings if each.kind == "leaked"]
    assert leaks == [(2000, 2050), (image.get_root(2) + 1, image.get_root(2) + 2)]


def test_a_mapping_beyond_the_data_device(image: ThinImage) -> None:
    leaf = image.get_root(7)
    image.put_value(leaf, 3, 4000 << 24)
    image.put_value(leaf, 4, 9999 << 24)
    report = check(image)
    first, second = (each for each in report.findings if each.kind == "beyond-data-device")
    assert (first.block, first.expected, first.found) == (leaf, "below 4000", 4000)
    assert (first.affects, second.affects) == ((Affected(7, 9, 9),), (Affected(7, 12, 12),))


def test_a_mapping_to_the_first_block_beyond_the_data_device(image: ThinImage) -> None:
    image.put_value(image.get_root(7), 3, 4000 << 24)
    assert the_only(check(image), "beyond-data-device").affects == (Affected(7, 9, 9),)
    image.put_value(image.get_root(7), 3, 3999 << 24)
    assert "beyond-data-device" not in {finding.kind for finding in check(image).findings}


def test_neighbours_beyond_the_data_device_are_one_finding(image: ThinImage) -> None:
    image.put_superblock(data_space_map=replace(image.superblock.data_space_map, nr_blocks=1100))
    found = next(each for each in check(image).findings if each.kind == "beyond-data-device")
    assert found.affects == (Affected(2, 300, 599),)


@pytest.mark.parametrize(("count", "kind"), [(1, "leaked"), (2, "leaked")])
def test_a_leaked_metadata_block(image: ThinImage, count: int, kind: str) -> None:
    image.put_reference_count(image.get_metadata_bitmap(), 500, count)
    found = the_only(check(image), kind)
    assert (found.severity, found.expected, found.found) == (Severity.MILD, 0, count)
    assert found.what == "metadata space map: reference count of metadata block 500"


def test_a_block_in_use_that_is_marked_free(image: ThinImage) -> None:
    image.put_reference_count(image.get_metadata_bitmap(), 4, 0)
    found = the_only(check(image), "freed")
    assert (found.severity, found.begin, found.expected, found.found) == (Severity.FATAL, 4, 1, 0)


@pytest.mark.parametrize(("count", "kind"), [(2, "high-count"), (0, "freed")])
def test_wrong_counts_of_data_blocks(image: ThinImage, count: int, kind: str) -> None:
    for place in (400, 401, 402):
        image.put_reference_count(image.get_data_bitmap(), place, count)
    found = the_only(check(image), kind)
    assert (found.begin, found.end, found.expected, found.found) == (400, 403, 1, count)


def test_a_count_that_is_too_low(image: ThinImage) -> None:
    image.put_reference_count(image.get_data_bitmap(), 252, 1)  # two leaves map it
    assert (the_only(check(image), "low-count").begin) == 252


def test_counts_from_three_on(image: ThinImage) -> None:
    same = {block: block for block in range(100)}
    devices: dict[int, BlockMap] = {dev: {**same, 100: 200 + dev} for dev in range(7)}
    many = write_thin_metadata(devices, share=False)
    assert check(ThinImage(many)).findings == []
    spoiled = ThinImage(many)
    tree = spoiled.superblock.data_space_map.ref_count_root
    spoiled.put(tree, 32 + 8 * 336 + 4 * 5, "<I", 6)
    found = the_only(check(spoiled), "low-count")
    assert (found.begin, found.expected, found.found) == (5, 7, 6)


@pytest.mark.parametrize("field", ["data_space_map", "metadata_space_map"])
@pytest.mark.parametrize(("more", "severity"), [(5, Severity.NOTE), (-5, Severity.MILD), (5000, Severity.MILD)])
def test_a_wrong_number_of_allocated_blocks(image: ThinImage, field: str, more: int, severity: Severity) -> None:
    root = getattr(image.superblock, field)
    image.put_superblock(**{field: replace(root, nr_allocated=root.nr_allocated + more)})
    report = check(image)
    found = the_only(report, "wrong-summary")
    assert (found.severity, found.expected, found.found) == (severity, root.nr_allocated, root.nr_allocated + more)
    assert report.is_sound() == (severity is Severity.NOTE)


def test_wrong_sums_of_a_bitmap(image: ThinImage) -> None:
    image.put_metadata_index(nr_free=3, none_free_before=800)
    found = [(each.severity, each.found) for each in check(image).findings if each.kind == "wrong-summary"]
    assert found == [(Severity.MILD, 3), (Severity.MILD, 800)]


def test_sums_that_hide_the_same_room_are_notes(image: ThinImage) -> None:
    root = image.superblock.metadata_space_map
    image.put_superblock(metadata_space_map=replace(root, nr_allocated=root.nr_allocated + 1))
    image.put_metadata_index(nr_free=root.nr_free - 1, none_free_before=root.nr_allocated + 1)
    report = check(image)
    assert [(each.kind, each.severity) for each in report.findings] == [("wrong-summary", Severity.NOTE)] * 3
    assert report.is_sound()


def test_a_damaged_bitmap_is_named_and_not_taken_for_leaks(image: ThinImage) -> None:
    bitmap = image.get_data_bitmap()
    image.spoil(bitmap)
    report = check(image)
    assert [finding.kind for finding in report.findings] == ["damaged"]
    assert report.findings[0].block == bitmap


def test_a_metadata_space_map_of_no_blocks(image: ThinImage) -> None:
    image.put_superblock(metadata_space_map=replace(image.superblock.metadata_space_map, nr_blocks=0))
    assert the_only(check(image), "size").found == 0


def test_blocks_in_use_beyond_the_metadata_space_map(image: ThinImage) -> None:
    root = image.superblock.metadata_space_map
    details = image.superblock.device_details_root
    image.put_superblock(metadata_space_map=replace(root, nr_blocks=details, nr_allocated=details))
    found = the_only(check(image), "beyond-space-map")
    assert (found.severity, found.begin, found.end) == (Severity.FATAL, details, root.nr_allocated)
    assert found.found == root.nr_allocated - details


def test_a_mapping_that_is_newer_than_the_pool() -> None:
    image = ThinImage(write_thin_metadata({1: {0: (5, 3)}}, time=3))
    assert check(image).findings == []
    image.put_superblock(time=2)
    assert the_only(check(image), "late-time").found == 2


def test_a_time_that_no_mapping_can_hold() -> None:
    """The kernel shifts the data block by 24 bits and adds the time without a look at its size."""
    image = ThinImage(write_thin_metadata({1: {0: (5, 3)}}, time=0xFFFFFF))
    assert check(image).findings == []
    image.put_superblock(time=0x1000000)
    assert the_only(check(image), "wild-time").severity is Severity.FATAL


def test_an_id_that_no_device_can_have(image: ThinImage) -> None:
    superblock = image.superblock
    for root in (superblock.data_mapping_root, superblock.device_details_root):
        image.put_key(root, 2, 1 << 24)
    found = the_only(check(image), "damaged")
    assert (found.what, found.expected, found.found) == ("id of a device", "at most 16777215", 1 << 24)


def test_the_flag_needs_check_is_a_note(image: ThinImage) -> None:
    image.put_superblock(flags=1)
    report = check(image)
    assert the_only(report, "needs-check").severity is Severity.NOTE
    assert report.is_sound()


def test_the_worst_finding_is_the_first_of_the_worst(image: ThinImage) -> None:
    image.put_superblock(flags=1)
    report = check(image)
    assert report.find_worst().kind == "needs-check"
    image.put_reference_count(image.get_data_bitmap(), 3500, 1)
    report = check(image)
    assert (report.findings[0].kind, report.find_worst().kind) == ("needs-check", "wrong-summary")
    for dev_id in (1, 7):
        image.spoil(image.get_root(dev_id))
    assert check(image).find_worst().block == image.get_root(1)


def test_a_truncated_device(image: ThinImage) -> None:
    image.data = image.data[: 8 * 4096]
    found = the_only(check(image), "size")
    assert (found.expected, found.found) == ("at least 1024", 8)


def test_a_data_device_of_any_claimed_size_costs_nothing(image: ThinImage) -> None:
    image.put_superblock(data_space_map=replace(image.superblock.data_space_map, nr_blocks=(1 << 64) - 1))
    assert not check(image).is_sound(ignore_mild=True)


@pytest.mark.parametrize("data", [b"", b"x" * 100, bytes(4096), b"x" * 8192])
def test_what_is_no_metadata_is_one_fatal_finding(data: bytes) -> None:
    report = check(ThinImage(data))
    assert report.superblock is None
    assert [finding.severity for finding in report.findings] == [Severity.FATAL]


class TestMetadataSnapshot:
    @pytest.fixture
    def held(self) -> ThinImage:
        changed: BlockMap = {**ORIGIN, 5: 3000}
        live = {1: changed, 2: SNAPSHOT}
        return ThinImage(write_thin_metadata(live, held={1: ORIGIN, 9: SPARSE}, nr_data_blocks=4000))

    def test_it_is_checked_with_the_live_metadata(self, held: ThinImage) -> None:
        assert check(held).findings == []
        image = ThinImage(bytes(held.data))
        image.spoil(read_held_root(image, 9))
        assert the_only(check(image), "damaged").affects == (Affected(9),)

    def test_devices_that_it_alone_has_are_named_too(self) -> None:
        held = {1: ORIGIN, 3: ORIGIN}
        image = ThinImage(write_thin_metadata({1: ORIGIN, 2: SNAPSHOT}, held=held, nr_data_blocks=4000))
        leaf = image.get_value(image.get_root(1), 0)
        image.spoil(leaf)
        found = [each for each in check(image).findings if each.kind == "damaged"]
        assert [each.block for each in found] == [leaf, leaf]
        assert found[0].affects == (Affected(1, 0, 251), Affected(2, 0, 251))
        assert found[1].affects == (Affected(1, 0, 251), Affected(3, 0, 251))

    def test_what_both_have_is_told_once(self) -> None:
        image = ThinImage(write_thin_metadata({1: {0: 5, 3: 9}}, held={1: {0: 5, 3: 9}}, nr_data_blocks=10))
        image.put_value(image.get_root(1), 1, 10 << 24)
        assert the_only(check(image), "beyond-data-device").affects == (Affected(1, 3, 3),)

    def test_it_is_checked_alone(self, held: ThinImage) -> None:
        report = check(held, CheckOptions(held=True))
        assert report.findings == []
        assert (report.devices, report.mappings) == (2, 650)

    def test_live_damage_is_not_its_own(self, held: ThinImage) -> None:
        held.spoil(held.get_root(2))
        assert check(held, CheckOptions(held=True)).is_sound()
        assert not check(held).is_sound()

    def test_its_superblock_may_be_damaged(self, held: ThinImage) -> None:
        location = held.superblock.held_root
        held.spoil(location)
        report = check(held)
        assert the_only(report, "damaged").block == location
        assert not [finding for finding in report.findings if finding.kind == "leaked"]

    def test_there_may_be_none(self, image: ThinImage) -> None:
        with pytest.raises(NotFoundError, match="no metadata snapshot"):
            check_metadata(image.reader, CheckOptions(held=True))

    def test_its_place_may_be_wrong(self, image: ThinImage) -> None:
        image.put_superblock(held_root=3)
        assert the_only(check(image), "damaged").block == 3
        image.put_superblock(held_root=1 << 40)
        assert the_only(check(image), "damaged").found == 1 << 40


def read_held_root(image: ThinImage, dev_id: int) -> int:
    from drystone.formats.thin.devices import read_mapping_roots
    from drystone.formats.thin.superblock import read_held_superblock

    return read_mapping_roots(image.reader, read_held_superblock(image.reader))[dev_id]


class TestOptions:
    def test_superblock_only(self, image: ThinImage) -> None:
        image.spoil(image.get_root(1))
        assert check(image, CheckOptions(superblock_only=True)).findings == []

    def test_skip_mappings(self, image: ThinImage) -> None:
        image.spoil(image.get_root(1))
        report = check(image, CheckOptions(skip_mappings=True))
        assert report.findings == []
        assert report.devices == 3

    def test_overridden_roots(self, image: ThinImage) -> None:
        superblock = image.superblock
        roots = CheckOptions(mapping_root=superblock.data_mapping_root, details_root=superblock.device_details_root)
        image.put_superblock(data_mapping_root=5000, device_details_root=5000)
        assert not check(image).is_sound()
        assert check(image, roots).is_sound()

    def test_an_overridden_root_beyond_the_end(self, image: ThinImage) -> None:
        assert the_only(check(image, CheckOptions(mapping_root=5000)), "damaged").found == 5000


def test_the_document_names_everything(image: ThinImage) -> None:
    image.spoil(image.get_value(image.get_root(1), 1))
    document = check(image).to_document()
    assert (document["fatal"], document["non_fatal"], document["transaction_id"]) == (1, 0, 0)
    assert document["findings"][0]["affects"] == [{"dev_id": 1, "low": 252, "high": 503}]
