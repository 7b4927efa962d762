"""How two documents differ."""

from __future__ import annotations

from typing import Any

import pytest

from drystone.dvm.transactions.difference import Change, compare, render_changes


@pytest.mark.parametrize(
    ("old", "new", "changes"),
    [
        ({}, {}, []),
        ({"a": 1}, {"a": 1}, []),
        (None, {"a": 1}, [("changed", "", None, {"a": 1})]),
        ({"a": 1}, {"a": 2}, [("changed", "a", 1, 2)]),
        ({"a": 1}, {"a": True}, [("changed", "a", 1, True)]),
        ({"a": 1}, {"a": 1.0}, [("changed", "a", 1, 1.0)]),
        ({"a": {"b": 1}}, {"a": {"c": 2}}, [("removed", "a.b", 1, None), ("added", "a.c", None, 2)]),
        ([1, 2], [1], [("removed", "[1]", 2, None)]),
        ([1], [1, 2], [("added", "[1]", None, 2)]),
        ({"l": [{"uuid": "x", "n": 1}]}, {"l": [{"uuid": "x", "n": 2}]}, [("changed", "l[x].n", 1, 2)]),
        ([{"name": "a", "n": 1}], [{"name": "a", "n": True}], [("changed", "[a].n", 1, True)]),
        (
            [{"name": "a"}, {"name": "b"}],
            [{"name": "b"}, {"name": "c"}],
            [("removed", "[a]", {"name": "a"}, None), ("added", "[c]", None, {"name": "c"})],
        ),
        (
            [{"name": "a"}, {"name": "b"}],
            [{"name": "b"}, {"name": "a"}],
            [("changed", "[order]", ["a", "b"], ["b", "a"])],
        ),
        ([{"name": "a"}, {"name": "a"}], [{"name": "a"}], [("removed", "[1]", {"name": "a"}, None)]),
    ],
)
def test_changes(old: Any, new: Any, changes: list[tuple[Any, ...]]) -> None:
    assert compare(old, new) == tuple(Change(*each) for each in changes)


def test_lines_for_people() -> None:
    changes = compare({"a": 1, "b": "x" * 300, "d": 1}, {"a": 2, "c": None, "d": 1})
    lines = render_changes(changes)
    assert lines[0] == "~ a: 1 -> 2"
    assert lines[1].startswith('- b: "xxx')
    assert len(lines[1]) < 210
    assert lines[2] == "+ c: null"


def test_deep_documents_end() -> None:
    def nest(inner: Any) -> Any:
        for _ in range(400):
            inner = [inner]
        return inner

    assert len(compare(nest(1), nest(2))) == 1
    assert compare(nest(1), nest(1)) == ()
