"""Nodes below /dev/mapper, in a folder of the test's own: links to a stand-in for /dev."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from drystone.base.errors import UsageError
from drystone.kernel.dm.abc import DeviceNumber
from drystone.kernel.dm.nodes import leads_to, mangle, node_path, remove_node, stale_nodes, sync_nodes


class Clock:
    """A clock that a sleep moves on; `meanwhile` is what somebody else does in the meantime."""

    def __init__(self, meanwhile: Path | None = None) -> None:
        self.time = 0.0
        self.meanwhile = meanwhile

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.time, tz=UTC)

    def monotonic(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.time += seconds
        if self.meanwhile is not None and self.time > 1:
            self.meanwhile.unlink(missing_ok=True)


@pytest.mark.parametrize(
    ("name", "spelled"),
    [
        ("plain-name_1.2", "plain-name_1.2"),
        ("a b", "a\\x20b"),
        ("#+-.:=@_", "#+-.:=@_"),
        ("back\\slash", "back\\x5cslash"),
        ("spelled\\x20already \\xg0", "spelled\\x20already\\x20\\x5cxg0"),
        ("é", "\\xc3\\xa9"),
    ],
)
def test_names_are_spelled_as_libdevmapper_does(name: str, spelled: str) -> None:
    assert mangle(name) == spelled
    assert mangle(spelled) == spelled


@pytest.mark.parametrize("name", ["", ".", "..", "control"])
def test_names_that_can_have_no_node(name: str) -> None:
    with pytest.raises(UsageError):
        node_path(name)


def test_removing_takes_links_to_dm_devices_only(tmp_path: Path) -> None:
    (tmp_path / "one").symlink_to("../dm-3")
    (tmp_path / "other").symlink_to("../sda")
    (tmp_path / "file").write_text("kept")
    for name in ("one", "other", "file", "missing"):
        remove_node(name, folder=str(tmp_path), udev=False)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["file", "other"]


def test_with_udev_it_is_waited_for(tmp_path: Path) -> None:
    link = tmp_path / "one"
    link.symlink_to("../dm-3")
    clock = Clock(meanwhile=link)
    remove_node("one", folder=str(tmp_path), udev=True, clock=clock)
    assert not link.is_symlink()
    assert 1 < clock.time < 2


def test_a_udev_that_does_nothing_is_waited_for_no_longer_than_the_limit(tmp_path: Path) -> None:
    link = tmp_path / "one"
    link.symlink_to("../dm-3")
    clock = Clock()
    remove_node("one", folder=str(tmp_path), udev=True, wait_s=3, clock=clock)
    assert not link.is_symlink()
    assert clock.time == pytest.approx(3, abs=0.1)


def test_stale_nodes_are_found_and_removed(tmp_path: Path) -> None:
    (tmp_path / "gone").symlink_to("../dm-3")
    (tmp_path / "kept").symlink_to("/dev/sda")
    assert stale_nodes([], folder=str(tmp_path)) == [str(tmp_path / "gone")]
    assert sync_nodes([], folder=str(tmp_path)) == [str(tmp_path / "gone")]
    assert stale_nodes([], folder=str(tmp_path)) == []


def test_a_name_that_leads_to_another_device_is_stale(tmp_path: Path) -> None:
    (tmp_path / "one").symlink_to("../dm-3")
    assert stale_nodes([("one", DeviceNumber(253, 4))], folder=str(tmp_path)) == [str(tmp_path / "one")]


def test_no_folder_has_no_stale_nodes(tmp_path: Path) -> None:
    assert stale_nodes([], folder=str(tmp_path / "missing")) == []


def test_a_plain_file_leads_to_no_device(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert leads_to(str(tmp_path / "file")) is None
    assert leads_to(str(tmp_path / "missing")) is None
