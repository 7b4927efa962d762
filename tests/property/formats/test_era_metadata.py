"""Round trips and models: what was written is read, dumped, restored and repaired, whatever its shape."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from drystone.base.errors import DamagedError
from drystone.formats.era.check import check_metadata
from drystone.formats.era.document import parse_json
from drystone.formats.era.dump import format_json, format_xml
from drystone.formats.era.eras import iter_changed, iter_eras
from drystone.formats.era.parse import parse_xml
from drystone.formats.era.parts import Part, iter_logical_parts, iter_parts
from drystone.formats.era.repair import repair
from drystone.formats.era.restore import write_parts
from drystone.formats.era.superblock import Superblock, read_held_superblock, read_superblock
from drystone.formats.pdata.memory import MemoryBlocks, MemoryDisk
from drystone.testing.era_metadata import Held, write_era_metadata

BLOCKS = st.integers(0, 149)
ERAS = st.lists(st.integers(0, 9), max_size=150)
WRITESETS = st.dictionaries(st.integers(10, 19), st.sets(BLOCKS), max_size=5)


@st.composite
def images(draw: st.DrawFn) -> tuple[bytes, list[int], list[int]]:
    """An image, the eras that its live metadata tells, and those of its snapshot."""
    eras, held_eras = draw(ERAS), draw(ERAS)
    live, shown = draw(WRITESETS), draw(WRITESETS)
    bits = {era: draw(st.integers(max(blocks, default=-1) + 1, 200)) for era, blocks in {**shown, **live}.items()}
    for era in shown.keys() & live.keys():
        bits[era] = max(bits[era], *shown[era], *live[era], -1) + 1
    current = draw(st.none() | st.sets(BLOCKS))
    image = write_era_metadata(
        eras,
        live,
        current_era=20,
        current=current,
        nr_bits={**bits, 20: 150},
        held=Held(held_eras, shown, 20, current_root=draw(st.integers(0, 1 << 40))),
        fan_out=draw(st.sampled_from([2, 3, 84, 252])),
    )
    return image, fold(eras, {**live, 20: current or set()}), fold(held_eras, shown)


def fold(eras: list[int], writesets: dict[int, set[int]]) -> list[int]:
    return [
        max([era, *(each for each, blocks in writesets.items() if block in blocks)]) for block, era in enumerate(eras)
    ]


def read(reader: MemoryBlocks | MemoryDisk, superblock: Superblock) -> list[int]:
    return [era for batch in iter_eras(reader, superblock) for era in batch.eras.tolist()]


@given(images(), st.integers(0, 21))
@settings(max_examples=150, deadline=None)
def test_what_was_written_is_read(made: tuple[bytes, list[int], list[int]], since: int) -> None:
    image, live, held = made
    reader = MemoryBlocks(image)
    for superblock, expected in ((read_superblock(reader), live), (read_held_superblock(reader), held)):
        assert read(reader, superblock) == expected
        rows = [row for ranges in iter_changed(reader, superblock, since) for row in ranges.tolist()]
        changed = {block for begin, length in rows for block in range(begin, begin + length)}
        assert changed == {block for block, era in enumerate(expected) if era >= since}
        assert all(sum(one) < other[0] for one, other in pairwise(rows))


@given(images())
@settings(max_examples=100, deadline=None)
def test_what_was_dumped_is_restored(made: tuple[bytes, list[int], list[int]]) -> None:
    image, live, _ = made
    reader = MemoryBlocks(image)
    superblock = read_superblock(reader)
    xml = b"".join(format_xml(iter_parts(reader, superblock)))
    document = b"".join(format_json(iter_parts(reader, superblock)))
    for parts in (parse_xml(io.BytesIO(xml)), parse_json(document), iter_logical_parts(reader, superblock)):
        disk = MemoryDisk(1 << 20)
        restored = write_parts(disk, parts)
        assert check_metadata(disk).is_sound()
        assert read(disk, restored) == live
    disk = MemoryDisk(1 << 20)
    outcome = repair(reader, disk)
    assert not outcome.losses
    assert read(disk, outcome.superblock) == live


@given(st.binary(max_size=300) | st.text(alphabet="<>/ =\"'eraitwsbkmud0123\n!?-", max_size=200).map(str.encode))
@settings(max_examples=300, deadline=None)
def test_any_text_is_read_or_refused(text: bytes) -> None:
    for parse in (read_xml, parse_json):
        if message := refuse(parse, text):
            assert "\n" not in message


def read_xml(text: bytes) -> Iterator[Part]:
    return parse_xml(io.BytesIO(text))


def refuse(parse: Callable[[bytes], Iterator[Part]], text: bytes) -> str:
    """Why it is refused; "" when it is not."""
    try:
        list(parse(text))
    except DamagedError as error:
        return error.message
    return ""
