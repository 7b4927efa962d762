from __future__ import annotations

import pytest

from drystone.base.errors import DamagedError
from drystone.formats.pdata.memory import MemoryBlocks
from drystone.formats.thin.dump import Choice, dump
from drystone.formats.thin.spelling import SPELLERS
from drystone.formats.thin.superblock import read_superblock
from drystone.testing.thin_image import ThinImage
from drystone.testing.thin_metadata import BlockMap, write_thin_metadata

# Leaves cover 4 blocks each. Device 2 is a snapshot of 1 whose second leaf was written to; 3 has only the last leaf.
FIRST = {block: 100 + block for block in range(16)}
SECOND: BlockMap = {**FIRST, 5: (900, 2)}
DEVICES: dict[int, BlockMap] = {
    1: FIRST,
    2: SECOND,
    3: {block: FIRST[block] for block in range(12, 16)},
    4: {0: 7, 3: 8},
}


def spell(data: bytes, choice: Choice | None = None, form: str = "xml", *, old: bool = False) -> str:
    reader = MemoryBlocks(data)
    parts = dump(reader, read_superblock(reader), choice or Choice(share=not old))
    return b"".join(bytes(chunk) for chunk in SPELLERS[form, old](parts)).decode()


@pytest.fixture(scope="module")
def image() -> bytes:
    return write_thin_metadata(DEVICES, fan_out=4, transaction_id=5, time=2, details={2: (3, 1, 1)})


def test_shared_leaves_are_definitions(image: bytes) -> None:
    text = spell(image)
    # Where the last leaf ends in device 3 no leaf comes before it, so it is a run of its own.
    assert text == (
        '<superblock uuid="" time="2" transaction="5" version="2" data_block_size="128" nr_data_blocks="901">\n'
        '  <def name="1">\n'
        '    <range_mapping origin_begin="0" data_begin="100" length="4" time="0"/>\n'
        "  </def>\n"
        '  <def name="3">\n'
        '    <range_mapping origin_begin="8" data_begin="108" length="4" time="0"/>\n'
        "  </def>\n"
        '  <def name="4">\n'
        '    <range_mapping origin_begin="12" data_begin="112" length="4" time="0"/>\n'
        "  </def>\n"
        '  <device dev_id="1" mapped_blocks="16" transaction="0" creation_time="0" snap_time="0">\n'
        '    <ref name="1"/>\n'
        '    <range_mapping origin_begin="4" data_begin="104" length="4" time="0"/>\n'
        '    <ref name="3"/>\n'
        '    <ref name="4"/>\n'
        "  </device>\n"
        '  <device dev_id="2" mapped_blocks="16" transaction="3" creation_time="1" snap_time="1">\n'
        '    <ref name="1"/>\n'
        '    <single_mapping origin_block="4" data_block="104" time="0"/>\n'
        '    <single_mapping origin_block="5" data_block="900" time="2"/>\n'
        '    <range_mapping origin_begin="6" data_begin="106" length="2" time="0"/>\n'
        '    <ref name="3"/>\n'
        '    <ref name="4"/>\n'
        "  </device>\n"
        '  <device dev_id="3" mapped_blocks="4" transaction="0" creation_time="0" snap_time="0">\n'
        '    <ref name="4"/>\n'
        "  </device>\n"
        '  <device dev_id="4" mapped_blocks="2" transaction="0" creation_time="0" snap_time="0">\n'
        '    <single_mapping origin_block="0" data_block="7" time="0"/>\n'
        '    <single_mapping origin_block="3" data_block="8" time="0"/>\n'
        "  </device>\n"
        "</superblock>\n"
    )


def test_the_old_spelling_shares_nothing(image: bytes) -> None:
    text = spell(image, old=True)
    assert 'transaction="5" flags="0" version="2"' in text
    assert "def" not in text
    assert text.count('<range_mapping origin_begin="0" data_begin="100" length="16" time="0"/>') == 1
    assert text.count('<range_mapping origin_begin="12" data_begin="112" length="4" time="0"/>') == 1


def test_text_for_people(image: bytes) -> None:
    text = spell(image, form="human_readable")
    assert text.startswith(
        'begin superblock: "", 2, 5, 0, 2, 128, 901\ndef: 1\n    (0..3) -> (100..103), 0\n\ndef: 3\n'
    )
    assert "    ref: 1\n    (4..4) -> (104..104), 0\n" in text
    assert text.endswith("    (3..3) -> (8..8), 0\n\nend superblock\n")
    assert "    3 -> 8, 0\n" in spell(image, form="human_readable", old=True)


def test_one_device_shares_with_nobody(image: bytes) -> None:
    text = spell(image, Choice(devices=[1]))
    assert text.count("device") == 2
    assert '<range_mapping origin_begin="0" data_begin="100" length="16" time="0"/>' in text


def test_devices_that_are_not_there_are_left_out(image: bytes) -> None:
    assert spell(image, Choice(devices=[77])).count("\n") == 2


def test_without_mappings(image: bytes) -> None:
    text = spell(image, Choice(mappings=False))
    assert text.count("<device") == text.count("</device>") == 4
    assert "mapping " not in text


def test_overrides(image: bytes) -> None:
    text = spell(image, Choice(mappings=False, transaction_id=9, data_block_size=256, nr_data_blocks=5000))
    assert 'transaction="9" version="2" data_block_size="256" nr_data_blocks="5000"' in text
    assert 'nr_data_blocks="901"' in spell(image, Choice(mappings=False, nr_data_blocks=5))


def test_devices_with_the_same_root_share_all() -> None:
    text = spell(write_thin_metadata({1: FIRST, 2: FIRST}))
    assert text.count("<def") == 1
    assert text.count("<ref") == 2
    assert text.count("mapping ") == 1


def test_a_pool_without_devices() -> None:
    assert spell(write_thin_metadata({})).count("\n") == 2


def test_an_empty_device() -> None:
    text = spell(write_thin_metadata({1: {}, 2: {0: 0}}))
    assert 'snap_time="0">\n  </device>\n' in text


def test_a_damaged_leaf_is_named_after_what_is_sound_was_given_out() -> None:
    data = bytearray(write_thin_metadata({1: FIRST, 2: {0: 500}}, fan_out=4))
    data[4096 * 3 + 40] ^= 1
    reader = MemoryBlocks(bytes(data))
    parts = dump(reader, read_superblock(reader), Choice())
    with pytest.raises(DamagedError, match="block 3: mapping tree: checksum"):
        list(parts)


def test_a_shared_leaf_that_one_device_points_to_from_a_wrong_place() -> None:
    """Device 1 has all of it, and is read first; in device 2 the leaf stands where other blocks belong."""
    image = ThinImage(write_thin_metadata({1: FIRST, 2: {**FIRST, 5: (900, 2)}}, fan_out=4))
    root = image.get_root(2)
    image.put_value(root, 2, image.get_value(root, 3))
    with pytest.raises(DamagedError, match=r"key"):
        spell(bytes(image.data))


def test_a_device_without_details_is_damage(image: bytes) -> None:
    odd = ThinImage(image)
    odd.put_count_of_entries(odd.superblock.device_details_root, 3)
    with pytest.raises(DamagedError, match="device 4 is only in the mapping tree, expected with a details"):
        spell(bytes(odd.data))
