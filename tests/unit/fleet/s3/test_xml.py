"""XML in and out, also from those who mean harm."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drystone.fleet.s3 import xml
from drystone.fleet.s3.errors import Code
from drystone.testing.fleet.refusals import refusal

BOMB = b'<!DOCTYPE d [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]><Delete>&b;</Delete>'
OUTSIDE = b'<!DOCTYPE d SYSTEM "file:///etc/passwd"><Delete/>'


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"x",
        b"<Delete>",
        b"<Other/>",
        b"<Delete/><Delete/>",
        BOMB,
        OUTSIDE,
        b"<Delete>&undefined;</Delete>",
        b"<Delete>" + b"<a>" * 100 + b"</a>" * 100 + b"</Delete>",
        b"<Delete>" + b"<a/>" * (xml.MAX_NODES + 1) + b"</Delete>",
        b"<Delete>" + b"x" * (xml.MAX_TEXT + 1) + b"</Delete>",
        b"<Delete>\xff</Delete>",
        b'<?xml version="1.0" encoding="x-unknown"?><Delete/>',
        b"<Delete>\x00</Delete>",
    ],
    ids=range(14),
)
def test_xml_that_is_refused(data: bytes) -> None:
    assert refusal(xml.parse, data, "Delete") is Code.MalformedXML


def test_xml_in_and_out() -> None:
    data = xml.render(
        "Root", [("A", "<&>\"'\r\x01"), ("B", 5), ("C", True), ("D", None), ("E", [("F", "g")]), ("G", [])]
    )
    assert b"&#xD;" in data
    assert b"&#x1;" in data
    root = xml.parse(data.replace(b"&#x1;", b""), "Root")
    assert [(node.name, node.text) for node in root.children] == [
        ("A", "<&>\"'\r"),
        ("B", "5"),
        ("C", "true"),
        ("E", ""),
        ("G", ""),
    ]
    assert root.find_text("E", "F") == "g"
    assert (root.find("E", "X"), root.find_text("X", "Y", default="z")) == (None, "z")
    prefixed = xml.parse(b'<p:Root xmlns:p="urn:x"><p:A> x </p:A></p:Root>', "Root")
    assert prefixed.find_text("A") == " x "


@given(st.dictionaries(st.sampled_from("ABCDEF"), st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=20)))
def test_texts_survive_xml(texts: dict[str, str]) -> None:
    texts = {name: text for name, text in texts.items() if "\ufffe" not in text and "\uffff" not in text}
    root = xml.parse(xml.render("R", list(texts.items())), "R")
    assert {node.name: node.text for node in root.children} == texts
