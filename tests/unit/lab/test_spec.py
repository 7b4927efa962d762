"""A lab's description: limits, addresses, and its way through JSON."""

from __future__ import annotations

import json

import pytest

from drystone.base.errors import UsageError
from drystone.lab.spec import DiskSpec, LabSpec, NodeSpec, check_counts, check_disks, parse_spec


def test_a_description_comes_back_from_json() -> None:
    spec = LabSpec(
        "demo",
        (NodeSpec("node1", 1, 1 << 28, (DiskSpec("/d", 512, "/l"),)), NodeSpec("node2", 2)),
        folders=("/r",),
        modules=("dm-era",),
        init="systemd",
        over="/o",
    )
    assert parse_spec(json.loads(json.dumps(spec.to_document()))) == spec


def test_addresses_follow_from_the_port() -> None:
    node = NodeSpec("node17", 17)
    assert (node.address, node.mac) == ("10.77.0.17", "02:00:00:00:00:11")


@pytest.mark.parametrize(("nodes", "disks", "memory"), [(0, 0, 1 << 29), (33, 0, 1 << 29), (1, 17, 1 << 29), (1, 0, 1)])
def test_counts_that_cannot_be_are_refused(nodes: int, disks: int, memory: int) -> None:
    with pytest.raises(UsageError):
        check_counts(nodes, disks, memory)


@pytest.mark.parametrize(
    ("disks", "text"),
    [
        ([DiskSpec("/a", 0)], "0 bytes"),
        ([DiskSpec("/a", -512)], "-512 bytes"),
        ([DiskSpec("/a", 4097)], "4097 bytes"),
        ([DiskSpec("/a", 512), DiskSpec("/a", 512)], "/a is given twice"),
        ([DiskSpec("/a", 512, "/log"), DiskSpec("/b", 512, "/log")], "/log is given twice"),
        ([DiskSpec("/a", 512, "/a")], "/a is given twice"),
    ],
)
def test_disks_that_cannot_be_are_refused(disks: list[DiskSpec], text: str) -> None:
    with pytest.raises(UsageError, match=text):
        check_disks(disks)


def test_disks_without_logs_are_no_files_given_twice() -> None:
    check_disks([DiskSpec("/a", 512), DiskSpec("/b", 1 << 40)])
