"""When two tables mean the same, so that identical ones are not loaded again."""

from __future__ import annotations

from drystone.base.errors import UsageError
from drystone.dvm.state import Line
from drystone.kernel.dm.abc import TableLine
from drystone.kernel.dm.targets import parse_target


def same_table(left: tuple[Line, ...], right: tuple[Line, ...]) -> bool:
    """Whether both tables mean the same, whatever their spelling (order of features, a count left out)."""
    return len(left) == len(right) and all(_same(a, b) for a, b in zip(left, right, strict=True))


def _same(left: Line, right: Line) -> bool:
    if left == right:
        return True
    if (left.start, left.length, left.target) != (right.start, right.length, right.target):
        return False
    try:
        return parse_target(_to_kernel(left)) == parse_target(_to_kernel(right))
    except UsageError:
        # Not what we take that target to accept: the kernel may know better, and will say so when it is loaded.
        return False


def _to_kernel(line: Line) -> TableLine:
    return TableLine(line.start, line.length, line.target, line.params)
