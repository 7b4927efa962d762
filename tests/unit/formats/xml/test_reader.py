from __future__ import annotations

import io

import pytest

from drystone.base.errors import DamagedError
from drystone.formats.xml.elements import RowKind
from drystone.formats.xml.reader import CHUNK, LONGEST_TOKEN, Begin, End, Numbers, read_xml

SINGLE = RowKind("s", ("a", "b"))
TRUE = RowKind("bit", ("block",), (("value", "true"),))
FALSE = RowKind("bit", ("block",), (("value", "false"),))
KINDS = [SINGLE, TRUE, FALSE]


def read(text: str | bytes) -> list[object]:
    """All events; numbers as (kind, values...) rows."""
    data = text.encode() if isinstance(text, str) else text
    events: list[object] = []
    for event in read_xml(io.BytesIO(data), KINDS):
        if not isinstance(event, Numbers):
            events.append(event)
            continue
        columns = [iter(zip(*(each.tolist() for each in column), strict=True)) for column in event.columns]
        events += [(kind, *next(columns[kind])) for kind in event.kinds.tolist()]
    return events


def rows(count: int, indent: str = "    ") -> str:
    return "".join(f'{indent}<s a="{number}" b="{number * 7}"/>\n' for number in range(count))


def test_regular_lines_are_numbers() -> None:
    events = read(f'<top n="x">\n  <in>\n{rows(1000)}  </in>\n</top>\n')
    assert events[:2] == [Begin("top", {"n": "x"}, 1), Begin("in", {}, 2)]
    assert events[2:1002] == [(0, number, number * 7) for number in range(1000)]
    assert events[1002:] == [End("in", 1003), End("top", 1004)]


@pytest.mark.parametrize(
    "text",
    [
        "<top>" + rows(40).replace("\n", "") + "</top>",
        "<top>\n" + rows(40, indent="\t") + "</top>",
        "<top>\n" + rows(40).replace('"', "'") + "</top>",
        "<top>\n" + rows(40).replace("/>", " ></s>") + "</top>",
        "<top>\r\n" + rows(40).replace("\n", "\r\n") + "</top>",
        "<top>\n" + "".join(f'<s b="{n * 7}" a="{n}"/> <!-- " -->\n' for n in range(40)) + "</top>",
        "<?xml version='1.0' encoding='UTF-8'?>\n<top>\n" + rows(40) + "</top>\n<!-- the end -->",
    ],
)
def test_other_spellings_are_the_same_numbers(text: str) -> None:
    assert [event for event in read(text) if isinstance(event, tuple)] == [(0, n, n * 7) for n in range(40)]


def test_fixed_attributes_tell_kinds_apart() -> None:
    assert read('<t><bit block="1" value="true"/><bit value="false" block="2"/></t>')[1:3] == [(1, 1), (2, 2)]
    with pytest.raises(DamagedError, match="line 1: <bit> with"):
        read('<t><bit block="1" value="maybe"/></t>')


def test_lines_in_a_comment_are_none() -> None:
    events = read(f"<top>\n<!--\n{rows(200)}-->\n{rows(20)}<!-- {rows(1)} --></top>")
    assert len([event for event in events if isinstance(event, tuple)]) == 20
    assert events[-1] == End("top", 225)


def test_lines_across_chunks() -> None:
    count = 3 * CHUNK // 30
    events = read(f"<top>\n{rows(count)}</top>")
    assert len(events) == count + 2
    assert events[count] == (0, count - 1, (count - 1) * 7)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "line 1: no XML: no element found"),
        ("hello\n", "line 1: no XML: syntax error"),
        ("\x7fELF\x00\x00", "line 1: no XML"),
        ("<top>\n", "line 2: no XML: no element found"),
        (f"<top>\n{rows(100)}</pot>", "line 102: no XML: mismatched tag"),
        (f"<top>\n{rows(100)}x</top>", "line 102: text 'x' between elements"),
        (f"<top>\n<![CDATA[\n{rows(100)}]]></top>", "line 2: a CDATA section"),
        ("<top><s a='1'/></top>", "line 1: <s>: attribute 'b' is missing"),
        ("<top><s a='1' b='2' c='3'/></top>", "line 1: <s>: attribute 'c' is not known"),
        ("<top>\n<s a='1' b='-2'/></top>", "line 2: <s>: b is '-2', expected a whole number"),
        ("<top><s a='1' b='18446744073709551616'/></top>", "b is '18446744073709551616'"),
        ("<top><s a='1' b='٣'/></top>", "expected a whole number"),
        (f"<top>\n<s a='1' b='2'>\n{rows(100)}</s></top>", "line 3: <s> in an element that holds nothing"),
        ("<!DOCTYPE t [<!ENTITY a 'aa'>]><t>&a;</t>", "line 1: a DOCTYPE"),
        ("<t>&undefined;</t>", "no XML: undefined entity"),
        ("<t a='1' a='2'/>", "no XML: duplicate attribute"),
    ],
)
def test_what_is_refused(text: str, reason: str) -> None:
    with pytest.raises(DamagedError) as caught:
        read(text)
    assert reason in caught.value.message


@pytest.mark.parametrize("begin", ["<top a='", "<top><!--", "<top><?pi ", "<top><s a='1' b='2' "])
@pytest.mark.parametrize("filler", ["x", rows(1)])
def test_a_token_without_an_end_is_refused_in_bounded_memory(begin: str, filler: str) -> None:
    class Endless:
        def __init__(self) -> None:
            self.given = 0

        def read(self, size: int, /) -> bytes:
            piece = begin.encode() if not self.given else (filler.encode() * size)[:size]
            self.given += len(piece)
            return piece

    source = Endless()
    with pytest.raises(DamagedError):
        list(read_xml(source, KINDS))
    assert source.given < LONGEST_TOKEN + 4 * CHUNK


def test_the_document_may_come_in_small_pieces() -> None:
    class Slow(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            return super().read(7)

    text = f"<top>\n{rows(60)}</top>"
    found = [len(event) for event in read_xml(Slow(text.encode()), KINDS) if isinstance(event, Numbers)]
    assert sum(found) == 60
