from __future__ import annotations

import io
import time
from collections.abc import Iterator

import numpy as np
import pytest

from drystone.base.errors import DamagedError
from drystone.formats.era.document import parse_json
from drystone.formats.era.dump import format_json, format_xml
from drystone.formats.era.elements import AT_ONCE
from drystone.formats.era.eras import EraBatch
from drystone.formats.era.parse import CHUNK, LONGEST_TOKEN, parse_xml
from drystone.formats.era.parts import Bits, Head, Part, WritesetHead, iter_parts
from drystone.formats.era.superblock import read_superblock
from drystone.formats.pdata.memory import MemoryBlocks
from drystone.testing.era_metadata import write_era_metadata

JSON = '{"superblock": {"block_size": 8, "nr_blocks": %d, "current_era": 1}, "writesets": [], "era_array": [%s]}'
TOP = '<superblock uuid="" block_size="128" nr_blocks="3" current_era="5">'
ARRAY = '<era_array><era block="0" era="1"/><era block="1" era="2"/><era block="2" era="0"/></era_array>'


def dump(size: int = 12, **more: object) -> bytes:
    random = np.random.default_rng(size)
    eras = random.integers(0, 12_000, size)
    bits = {era: set(np.flatnonzero(random.random(size) < 0.3).tolist()) for era in (3, 14_000)}
    image = write_era_metadata(eras.tolist(), bits, current={0}, current_era=15_000, **more)  # type: ignore[arg-type]
    reader = MemoryBlocks(image)
    return b"".join(format_xml(iter_parts(reader, read_superblock(reader))))


def read(text: bytes | str) -> list[Part]:
    data = text.encode() if isinstance(text, str) else text
    return list(parse_xml(io.BytesIO(data)))


def print_again(text: bytes) -> bytes:
    return b"".join(format_xml(parse_xml(io.BytesIO(text))))


def list_bits(parts: list[Part]) -> Iterator[int]:
    due = 0
    for part in parts:
        if isinstance(part, Bits):
            assert part.begin == due
            due += len(part.bits)
            yield from (np.flatnonzero(part.bits) + part.begin).tolist()


@pytest.mark.parametrize("size", [0, 1, 12, 1000, 40_000])
def test_a_dump_is_read_back(size: int) -> None:
    text = dump(max(size, 1)) if size else TOP.replace("3", "0").encode() + b"<era_array/></superblock>"
    once = print_again(text)
    assert print_again(once) == once
    if size:
        assert once == text
        assert print_again(text.rstrip()) == text
        assert print_again(text.replace(b"\n", b"\r\n")) == text
        assert print_again(text.replace(b"\n", b"").replace(b"/>", b" />")) == text
        assert print_again(text.replace(b'"', b"'")) == text


def test_lines_that_are_not_regular_among_those_that_are() -> None:
    text = dump(5000)
    other = text.replace(b'    <era block="77" ', b'\t<era  block="77" ').replace(
        b'    <bit block="4000" value="true"/>\n', b'    <bit value="true" block="4000"/>\n'
    )
    assert print_again(other) == text


def test_rows_in_a_comment_are_none() -> None:
    text = dump(30)
    row = text[text.index(b'    <bit block="3"') :].split(b"\n")[0]
    assert print_again(text.replace(row, b"<!--\n" + row + b"\n-->\n" + row)) == text
    assert print_again(text.replace(row, b"<!-- x\n-->" + row)) == text


def test_marked_runs() -> None:
    writeset = (
        '<writeset era="4" nr_bits="90"><marked block_begin="2" len="3"/><marked block_begin="88" len="2"/></writeset>'
    )
    parts = read(TOP + writeset + ARRAY + "</superblock>")
    assert parts[:2] == [Head(128, 3, 5), WritesetHead(4, 90)]
    assert list(list_bits(parts)) == [2, 3, 4, 88, 89]
    assert sum(len(part.bits) for part in parts if isinstance(part, Bits)) == 90


def test_a_marked_run_of_thousands_of_millions_comes_in_pieces() -> None:
    writeset = '<writeset era="4" nr_bits="4294967295"><marked block_begin="0" len="4294967295"/></writeset>'
    parts = parse_xml(io.BytesIO((TOP + writeset + ARRAY + "</superblock>").encode()))
    assert [next(parts), next(parts)] == [Head(128, 3, 5), WritesetHead(4, 4294967295)]
    for place in range(3):
        part = next(parts)
        assert isinstance(part, Bits)
        assert part.begin == place * AT_ONCE
        assert len(part.bits) == AT_ONCE


def test_an_array_before_the_writesets() -> None:
    parts = read(TOP + ARRAY + '<writeset era="4" nr_bits="3"/></superblock>')
    assert [type(part) for part in parts] == [Head, EraBatch, WritesetHead, Bits]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1: no XML: no element found"),
        ("not XML", "line 1: no XML: syntax error"),
        ("\0\1\2", "no XML"),
        ("<blocks/>", "found <blocks> at the top"),
        ("<superblock/>", "without nr_blocks"),
        (TOP + "</superblock>", "found no era_array"),
        (TOP + ARRAY, "no XML"),
        (TOP + ARRAY + ARRAY + "</superblock>", "a second era_array"),
        (TOP + '<era_array><era block="0" era="1"/></era_array></superblock>', "an era_array of 1 blocks, expected 3"),
        (
            TOP + '<era_array><era block="1" era="1"/></era_array></superblock>',
            "era of block 1, expected that of block 0",
        ),
        (TOP + ARRAY.replace('block="2"', 'block="1"') + "</superblock>", "era of block 1, expected that of block 2"),
        (TOP + ARRAY.replace("</era_array>", '<era block="3" era="1"/></era_array>') + "</superblock>", "block 3"),
        (TOP.replace("128", "0") + ARRAY + "</superblock>", "block_size='0'"),
        (TOP.replace('"3"', '"9999999999"') + ARRAY + "</superblock>", "nr_blocks='9999999999'"),
        (TOP.replace('"3"', '"²"') + ARRAY + "</superblock>", "nr_blocks='²'"),
        (
            TOP + '<writeset era="1" nr_bits="3"><bit block="3" value="true"/></writeset></superblock>',
            "bit 3 in a writeset",
        ),
        (
            TOP + '<writeset era="1" nr_bits="3"><bit block="0" value="1"/></writeset></superblock>',
            "value '1' of a bit",
        ),
        (TOP + "<bit/></superblock>", "found <bit> in <superblock>"),
        (TOP + "text" + ARRAY + "</superblock>", "text 'text'"),
        ("<!DOCTYPE superblock>" + TOP + ARRAY + "</superblock>", "document type"),
    ],
)
def test_what_is_no_era_metadata(text: str, message: str) -> None:
    with pytest.raises(DamagedError, match=message) as caught:
        read(text)
    assert "\n" not in caught.value.message


def test_bits_out_of_order() -> None:
    bits = '<bit block="1" value="true"/><bit block="0" value="true"/>'
    with pytest.raises(DamagedError, match="found bit 0, expected bits in ascending order, 2 or above"):
        read(TOP + f'<writeset era="1" nr_bits="3">{bits}</writeset></superblock>')


def test_more_rows_than_there_are_blocks() -> None:
    text = dump(300)
    last = b'    <era block="300" era="1"/>\n  </era_array>'
    with pytest.raises(DamagedError, match="block 300"):
        read(text.replace(b"  </era_array>", last))


def test_the_line_is_named_behind_thousands_of_rows() -> None:
    lines = dump(5000).split(b"\n")
    lines[9000] = b"<oops>"
    with pytest.raises(DamagedError, match="line 9001: found <oops>"):
        read(b"\n".join(lines))


def test_a_line_that_does_not_end_takes_bounded_memory() -> None:
    with pytest.raises(DamagedError):
        read(TOP + " " * (3 * CHUNK) + "<x/>")


@pytest.mark.parametrize("size", [1, 12, 3000])
def test_json_is_read_back(size: int) -> None:
    text = dump(size)
    document = b"".join(format_json(parse_xml(io.BytesIO(text))))
    assert b"".join(format_xml(parse_json(document))) == text


def test_json_of_no_blocks() -> None:
    document = b"".join(format_json([Head(128, 0, 1), WritesetHead(1, 0)]))
    assert list(parse_json(document)) == [Head(128, 0, 1), WritesetHead(1, 0)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "era metadata"),
        ("{}", "superblock"),
        (
            '{"superblock": {"block_size": 0, "nr_blocks": 1, "current_era": 1}, "writesets": [], "era_array": []}',
            ">= 1",
        ),
        (JSON % (1, "[0, 2, 1]"), r"the run \[0, 2\]"),
        (JSON % (9, "[0, 2, 1], [1, 1, 1]"), "overlaps"),
    ],
)
def test_json_that_is_no_era_metadata(text: str, message: str) -> None:
    with pytest.raises(DamagedError, match=message):
        list(parse_json(text.encode()))


def test_rows_between_odd_ones_take_no_more_time_than_odd_ones() -> None:
    rows = "".join(f'<bit{" " * (1 + block % 2)}block="{block}" value="true"/>\n    ' for block in range(40_000))
    text = f'{TOP}\n<writeset era="2" nr_bits="40000">\n    {rows}</writeset>{ARRAY}</superblock>'
    begun = time.process_time()
    bits = [part for part in read(text) if isinstance(part, Bits)]
    assert sum(int(part.bits.sum()) for part in bits) == 40_000
    assert time.process_time() - begun < 2


@pytest.mark.parametrize("begin", ['<bit block="0" value="true" more="', "<!-- ", "<?more "])
def test_what_has_no_end_is_refused_before_it_takes_much_memory(begin: str) -> None:
    class Endless:
        given = 0
        head = f'{TOP}<writeset era="2" nr_bits="3">{begin}'.encode()

        def read(self, size: int, /) -> bytes:
            text = b"y" * size if self.given else self.head
            self.given += len(text)
            return text

    file = Endless()
    with pytest.raises(DamagedError, match=f"found an element of more than {LONGEST_TOKEN} bytes"):
        list(parse_xml(file))
    assert file.given <= 2 * LONGEST_TOKEN


@pytest.mark.parametrize(
    ("begin", "end"),
    [("<!--", "-->"), ("<?xml-more", "?>"), ("<?more", "?>"), ('<bit block="0" value="true" more="', '"/>')],
)
@pytest.mark.parametrize("blanks", [0, CHUNK - 1, CHUNK, CHUNK + 1, CHUNK + 2])
def test_rows_inside_of_something_else_are_not_read(begin: str, end: str, blanks: int) -> None:
    head = f'{TOP}<writeset era="2" nr_bits="3">'
    row = '    <bit block="0" value="true"/>\n'
    text = f"{head}{' ' * (blanks - len(head))}{begin}\n{row}{end}\n</writeset>{ARRAY}</superblock>"
    if end == '"/>':
        with pytest.raises(DamagedError, match="no XML"):
            read(text)
    else:
        assert not any(part.bits.any() for part in read(text) if isinstance(part, Bits))


def test_a_cdata_section_is_refused() -> None:
    with pytest.raises(DamagedError, match="CDATA"):
        read(f'{TOP}<writeset era="2" nr_bits="3"><![CDATA[ \n    <bit block="0" value="true"/>\n]]></writeset>')


def test_rows_do_not_go_to_the_xml_parser() -> None:
    rows = "".join(f'    <bit block="{block}" value="true"/>\n' for block in range(300_000))
    text = f'{TOP}\n  <writeset era="2" nr_bits="300000">\n{rows}  </writeset>\n{ARRAY}</superblock>'
    begun = time.process_time()
    assert sum(int(part.bits.sum()) for part in read(text) if isinstance(part, Bits)) == 300_000
    assert time.process_time() - begun < 1.5
