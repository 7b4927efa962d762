from __future__ import annotations

import pytest

from drystone.base.errors import UsageError
from drystone.dvm.graph import Graph
from drystone.dvm.state import Device, Line


def on(name: str, *children: str, inactive: str = "") -> Device:
    table = tuple(Line(n * 8, 8, "linear", f"{{{child}}} 0") for n, child in enumerate(children))
    return Device(name, table=table, inactive=(Line(0, 8, "linear", f"{{{inactive}}} 0"),) if inactive else ())


def test_orders() -> None:
    graph = Graph([on("top", "left", "right"), on("left", "low"), on("right", "low"), on("low"), on("alone")])
    assert graph.children_first(["top", "right", "low", "left", "alone"]) == ["low", "left", "right", "top", "alone"]
    assert graph.parents_first(["low", "top"]) == ["top", "low"]
    assert graph.below("top") == {"left", "right", "low"}
    assert graph.above("low") == {"left", "right", "top"}


def test_inactive_tables_count_when_asked_for() -> None:
    devices = [on("a", inactive="b"), on("b")]
    assert Graph(devices).below("a") == set()
    assert Graph(devices, inactive=True).below("a") == {"b"}


def test_a_circle_is_refused() -> None:
    with pytest.raises(UsageError, match="is on itself"):
        Graph([on("a", "b"), on("b", "c"), on("c", "a")])


def test_depth_is_not_limited_by_the_stack() -> None:
    devices = [on("d0"), *(on(f"d{n}", f"d{n - 1}") for n in range(1, 5000))]
    assert Graph(reversed(devices)).children_first(["d4999", "d0"]) == ["d0", "d4999"]
