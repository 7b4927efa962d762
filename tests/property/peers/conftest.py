"""What the tests against other tools have in common."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from drystone.cli.pdata_tools import run_tool
from drystone.testing.comparison import Ours, run_peer
from drystone.testing.peers import Line, Peer, find_peer

OURS = Ours(run_tool)
run_ours, assert_same = OURS.run, OURS.assert_same

FEW = settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

_ROOM = 4 << 20
"""Bytes that a restore may need beyond those of the image."""


@pytest.fixture(params=["0.9", "1.x"])
def peer(request: pytest.FixtureRequest) -> Peer:
    line: Line = request.param
    found = find_peer(line)
    if found is None:
        pytest.skip(f"thin-provisioning-tools {line} is not here (scripts/peers)")
    return found


@pytest.fixture
def folder() -> Iterator[Path]:
    """On a file system that has O_DIRECT, as these tools want it."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as path:
        yield Path(path)


def restore_with_both(peer: Peer, noun: str, image: Path) -> list[Path]:
    """What ours and theirs restore out of their dump of `image`, which both check; noun is `thin` or `era`."""
    dump = image.with_name("dump")
    dump.write_text(run_peer(peer, f"{noun}_dump", image).text)
    ours, theirs = (image.with_name(name) for name in ("ours", "theirs"))
    for restored in (ours, theirs):
        restored.write_bytes(bytes(image.stat().st_size + _ROOM))
    done = run_ours(f"{noun}_restore", "-i", dump, "-o", ours)
    assert done.code == 0, done.error
    assert run_peer(peer, f"{noun}_restore", "-i", dump, "-o", theirs).code == 0
    for restored in (ours, theirs):
        assert run_peer(peer, f"{noun}_check", restored).code == 0
        assert run_ours(f"{noun}_check", restored).code == 0
    return [ours, theirs]
