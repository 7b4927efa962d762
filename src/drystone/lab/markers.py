"""The pytest marker `lab`: what a module's guest is like."""

from __future__ import annotations

from typing import Any

import pytest

from drystone.base.sizes import parse_size


def guest_options(node: pytest.Item | pytest.Collector) -> dict[str, Any]:
    """Arguments for Lab from the closest marker `lab`; sizes may be text.

    :raises UsageError: a size that is none.
    """
    marker = node.get_closest_marker("lab")
    options = dict(marker.kwargs) if marker is not None else {}
    if isinstance(options.get("memory"), str):
        options["memory"] = parse_size(options["memory"])
    if "disks" in options:
        options["disks"] = [parse_size(each) if isinstance(each, str) else each for each in options["disks"]]
    return options
