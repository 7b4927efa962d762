"""Which device is on which: the graph of a set of devices, as their tables spell it.

A parent's table refers to its children. Orders are stable: what the tables leave open follows the document.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from typing import TypeVar

from drystone.base.errors import UsageError
from drystone.dvm.references import names_in
from drystone.dvm.state import Device

Key = TypeVar("Key", bound=Hashable)


class Graph:
    """Children and parents of every device by name. `inactive`: tables in inactive slots count too.

    :raises UsageError: a device is, through others, on itself.
    """

    def __init__(self, devices: Iterable[Device], *, inactive: bool = False) -> None:
        self.children: dict[str, tuple[str, ...]] = {}
        for device in devices:
            lines = device.table + (device.inactive if inactive else ())
            self.children[device.name] = tuple(dict.fromkeys(name for line in lines for name in names_in(line.params)))
        self.parents: dict[str, list[str]] = {name: [] for name in self.children}
        for name, children in self.children.items():
            for child in children:
                self.parents.setdefault(child, []).append(name)
        self._order = tuple(_children_first(self.children))

    def children_first(self, names: Iterable[str]) -> list[str]:
        """`names` in an order where each comes after all that it is on."""
        wanted = set(names)
        return [name for name in self._order if name in wanted]

    def parents_first(self, names: Iterable[str]) -> list[str]:
        """`names` in an order where each comes after all that are on it."""
        return self.children_first(names)[::-1]

    def below(self, name: str) -> set[str]:
        """All that `name` is on, directly or through others."""
        return reach(self.children, name)

    def above(self, name: str) -> set[str]:
        """All that are on `name`, directly or through others."""
        return reach(self.parents, name)


def reach(edges: Mapping[Key, Iterable[Key]], start: Key) -> set[Key]:
    """All that `start` leads to, in one step or more."""
    found: set[Key] = set()
    waiting = list(edges.get(start, ()))
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting.extend(edges.get(name, ()))
    return found


def _children_first(children: Mapping[str, tuple[str, ...]]) -> list[str]:
    # Depth first with a stack of our own: a document may be deeper than Python's.
    order: dict[str, None] = {}
    open_names: dict[str, None] = {}
    for root in children:
        stack = [(root, iter(children[root]))] if root not in order else []
        while stack:
            name, rest = stack[-1]
            open_names[name] = None
            child = next((each for each in rest if each not in order), None)
            if child is None:
                stack.pop()
                del open_names[name]
                order[name] = None
            elif child in open_names:
                raise UsageError(f"{child!r} is on itself, by way of {', '.join(list(open_names)[-3:])}")
            else:
                stack.append((child, iter(children.get(child, ()))))
    return list(order)
