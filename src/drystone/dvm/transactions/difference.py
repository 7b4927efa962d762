"""How two JSON documents differ, as a list of changes, without knowing what they mean.

Elements of a list are matched by their `uuid`, else their `name`, when all on both sides are objects with a different
one; by position otherwise. A path is written `volumes[uuid].size`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import msgspec

Kind = Literal["added", "removed", "changed"]
_MARKS: dict[Kind, str] = {"added": "+", "removed": "-", "changed": "~"}
_DEEPEST = 200
"""Levels that are looked into; what is deeper is compared whole."""


class Change(msgspec.Struct, frozen=True, omit_defaults=True):
    """A place where two documents differ. `old` is absent for what was added, `new` for what was removed."""

    kind: Kind
    path: str
    old: Any = None
    new: Any = None


def compare(old: Any, new: Any) -> tuple[Change, ...]:
    """Every difference, in the order of the documents; empty when they are the same value.

    Whole numbers and fractions of the same value are different, as are true and 1.
    """
    return tuple(_compare(old, new, "", 0))


def render_changes(changes: tuple[Change, ...]) -> list[str]:
    """A line a change, for people: `+ path: value`, `- path: value`, `~ path: old -> new`."""
    lines = []
    for each in changes:
        place = each.path or "(document)"
        match each.kind:
            case "added":
                text = _short(each.new)
            case "removed":
                text = _short(each.old)
            case _:
                text = f"{_short(each.old)} -> {_short(each.new)}"
        lines.append(f"{_MARKS[each.kind]} {place}: {text}")
    return lines


def _compare(old: Any, new: Any, path: str, depth: int) -> Iterator[Change]:
    if depth < _DEEPEST and isinstance(old, dict) and isinstance(new, dict):
        yield from _compare_objects(old, new, path, depth)
    elif depth < _DEEPEST and isinstance(old, list) and isinstance(new, list):
        yield from _compare_lists(old, new, path, depth)
    elif not _same(old, new):
        yield Change("changed", path, old, new)


def _compare_objects(old: dict[str, Any], new: dict[str, Any], path: str, depth: int) -> Iterator[Change]:
    for key in [*old, *(key for key in new if key not in old)]:
        place = f"{path}.{key}" if path else key
        if key not in new:
            yield Change("removed", place, old=old[key])
        elif key not in old:
            yield Change("added", place, new=new[key])
        else:
            yield from _compare(old[key], new[key], place, depth + 1)


def _compare_lists(old: list[Any], new: list[Any], path: str, depth: int) -> Iterator[Change]:
    for key in ("uuid", "name"):
        left, right = _by_key(old, key), _by_key(new, key)
        if left is not None and right is not None:
            for name in [*left, *(name for name in right if name not in left)]:
                place = f"{path}[{name}]"
                if name not in right:
                    yield Change("removed", place, old=left[name])
                elif name not in left:
                    yield Change("added", place, new=right[name])
                elif not _same(left[name], right[name]):
                    yield from _compare(left[name], right[name], place, depth + 1)
            both = [name for name in left if name in right]
            order = [name for name in right if name in left]
            if both != order:
                yield Change("changed", f"{path}[order]", both, order)
            return
    for index in range(max(len(old), len(new))):
        place = f"{path}[{index}]"
        if index >= len(new):
            yield Change("removed", place, old=old[index])
        elif index >= len(old):
            yield Change("added", place, new=new[index])
        else:
            yield from _compare(old[index], new[index], place, depth + 1)


def _by_key(values: list[Any], key: str) -> dict[str, Any] | None:
    """The elements by that key of theirs; None when one lacks it or two share it."""
    found: dict[str, Any] = {}
    for each in values:
        name = each.get(key) if isinstance(each, dict) else None
        if not isinstance(name, str) or name in found:
            return None
        found[name] = each
    return found


def _same(old: Any, new: Any) -> bool:
    if isinstance(old, dict | list) or isinstance(new, dict | list):
        # == would take 1, 1.0 and true for the same; the text of a value does not, and is made quickly.
        return type(old) is type(new) and repr(old) == repr(new)
    return type(old) is type(new) and bool(old == new)


def _short(value: Any) -> str:
    import json  # only where a difference is shown

    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 200 else f"{text[:197]}..."
