"""Fields of a section: each kind is taken as it is, and every other is damage at a place that is named."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from drystone.base.errors import DamagedError
from drystone.formats.lvm2.fields import LARGEST, Fields
from drystone.formats.lvm2.syntax import Section

UUID = "Volume-0000-0000-0000-0000-0000-000001"
SECTION: Section = {
    "id": UUID, "text": "t", "number": 7, "most": LARGEST, "fraction": 1.5, "list": ("a", "b"), "mixed": ("a", 1),
    "places": ("pv0", 0, "pv1", LARGEST), "inner": {"x": 1, "y": {"z": 2}}, "empty": {},
}  # fmt: skip


def fields(**more: object) -> Fields:
    return Fields({**SECTION, **more}, "vg/lv")  # type: ignore[dict-item]  # wrong on purpose, some of it


def test_what_is_there() -> None:
    found = fields()
    assert (found.uuid(), found.text("text"), found.whole("number", least=7), found.whole("most")) == (
        UUID,
        "t",
        7,
        LARGEST,
    )
    assert found.texts("list") == ("a", "b")
    assert found.texts("text") == ("t",), "one may stand without brackets"
    assert found.places("places") == (("pv0", 0), ("pv1", LARGEST))
    assert (found.section("inner").where, found.section("inner").whole("x")) == ("vg/lv/inner", 1)
    assert [(name, each.where) for name, each in fields(inner={"y": {}}).sections("inner")] == [("y", "vg/lv/inner/y")]
    assert ("text" in found, "nothing" in found) == (True, False)
    assert found.names() == tuple(SECTION)


def test_what_is_not_there_and_need_not_be() -> None:
    found = fields()
    assert (found.text("no", "otherwise"), found.whole("no", 3), found.texts("no")) == ("otherwise", 3, ())
    assert list(found.sections("no")) == []
    assert list(found.sections("empty")) == []


def test_all_texts_but_some() -> None:
    assert list(fields().texts_but({"id", "list"})) == ["t", "a", "pv0", "pv1"]


@pytest.mark.parametrize(
    ("read", "message"),
    [
        (lambda each: each.uuid("text"), "text is 't', which is no UUID"),
        (lambda each: each.text("number"), "number is 7, text was expected"),
        (lambda each: each.text("inner"), "inner is a section, text was expected"),
        (lambda each: each.text("no"), "no is missing"),
        (lambda each: each.whole("text"), "text is 't', a whole number was expected"),
        (lambda each: each.whole("fraction"), "fraction is 1.5, a whole number was expected"),
        (lambda each: each.whole("number", least=8), "number is 7, which cannot be"),
        (lambda each: each.texts("number"), "number is 7, a list of texts was expected"),
        (lambda each: each.texts("inner"), "inner is a section, a list of texts was expected"),
        (lambda each: each.texts("mixed"), r"mixed is \('a', 1\), a list of texts was expected"),
        (lambda each: each.places("text"), "a list of names with extents was expected"),
        (lambda each: each.places("no"), "no is missing"),
        (lambda each: each.places("list"), "a list of names with extents was expected"),
        (lambda each: each.section("text"), "text is 't', a section was expected"),
        (lambda each: list(each.sections("inner")), "/inner: x is 1, a section was expected"),
        (lambda each: each.check_name("a b"), "'a b' cannot be a name"),
        (lambda each: each.check_name(".."), "'..' cannot be a name"),
        (lambda each: each.check_name("x" * 128), "cannot be a name"),
    ],
)
def test_what_is_of_another_kind(read: Callable[[Fields], object], message: str) -> None:
    with pytest.raises(DamagedError, match=f"^vg/lv.*{message}"):
        read(fields())


@pytest.mark.parametrize("number", [-1, LARGEST + 1])
def test_numbers_that_cannot_be(number: int) -> None:
    with pytest.raises(DamagedError, match="which cannot be"):
        fields(number=number).whole("number")
    with pytest.raises(DamagedError, match="a list of names with extents"):
        fields(places=("pv0", number)).places("places")


@pytest.mark.parametrize("places", [("pv0",), (1, 1), ("pv0", "pv1"), ("pv0", 1.5), ("pv0", 1, "pv1")])
def test_places_are_names_and_extents_in_turn(places: tuple[object, ...]) -> None:
    with pytest.raises(DamagedError, match="a list of names with extents was expected"):
        fields(places=places).places("places")


READS: tuple[Callable[[Fields], object], ...] = (
    lambda each: each.whole("text"), lambda each: each.uuid("text"), lambda each: each.check_name("n" * 9000),
)  # fmt: skip


@pytest.mark.parametrize("read", READS)
def test_what_is_quoted_is_not_quoted_without_end(read: Callable[[Fields], object]) -> None:
    with pytest.raises(DamagedError) as caught:
        read(fields(text="t" * 9000))
    assert len(caught.value.message) < 150
