"""With a udev daemon: its rules make the links from our events, and no semaphore is left behind."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from drystone.kernel.dm import nodes
from drystone.kernel.dm.abc import TableLine
from drystone.kernel.dm.activation import create_active, remove_with_node, rename_with_node
from drystone.kernel.dm.device_mapper import KernelDeviceMapper

DAEMON = Path("/lib/systemd/systemd-udevd")
RULES = Path("/lib/udev/rules.d/55-dm.rules")
ZERO = [TableLine(0, 2048, "zero")]

pytestmark = pytest.mark.skipif(
    not (DAEMON.exists() and RULES.exists()), reason="udev or device-mapper's rules (package dmsetup) are not installed"
)


@pytest.fixture(scope="module", autouse=True)
def udev() -> Iterator[None]:
    """A udev daemon of the test's own."""
    daemon = subprocess.Popen([DAEMON], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    limit = time.monotonic() + 60
    while not nodes.udev_runs() and time.monotonic() < limit:
        time.sleep(0.05)
    yield
    daemon.terminate()
    daemon.wait(20)


def _wait_for_link(name: str, there: bool) -> bool:
    """Whether udev makes (or removes) the link by itself within ten seconds."""
    path = Path(nodes.node_path(name))
    limit = time.monotonic() + 60
    while path.is_symlink() != there and time.monotonic() < limit:
        time.sleep(0.02)
    return path.is_symlink() == there


def _settle() -> None:
    subprocess.run(["udevadm", "settle", "--timeout=20"], check=True)


def test_links_come_and_go_by_themselves(dm: KernelDeviceMapper) -> None:
    dm.create("one")
    dm.load("one", ZERO)
    number = dm.resume("one").number
    assert _wait_for_link("one", there=True)
    assert nodes.leads_to("/dev/mapper/one") == number
    _settle()
    dm.rename("one", "two")
    assert _wait_for_link("two", there=True)
    assert _wait_for_link("one", there=False)
    _settle()
    dm.remove("two")
    assert _wait_for_link("two", there=False)


def test_a_later_event_of_somebody_else_keeps_the_link(dm: KernelDeviceMapper) -> None:
    info = create_active(dm, "one", ZERO)
    _settle()
    name = f"/sys/block/dm-{info.number.minor}"
    subprocess.run(["udevadm", "trigger", "--action=add", name], check=True)
    _settle()
    assert nodes.leads_to("/dev/mapper/one") == info.number
    remove_with_node(dm, "one")


def test_many_devices_in_a_row_leave_nothing(dm: KernelDeviceMapper) -> None:
    for each in range(10):
        info = create_active(dm, f"dev{each}", ZERO)
        assert nodes.leads_to(f"/dev/mapper/dev{each}") == info.number
        rename_with_node(dm, info.number, f"new{each}")
        assert nodes.leads_to(f"/dev/mapper/new{each}") == info.number
    for each in range(10):
        assert remove_with_node(dm, f"new{each}")
    _settle()
    assert [each.name for each in Path("/dev/mapper").iterdir()] == ["control"]
    assert len(Path("/proc/sysvipc/sem").read_text().splitlines()) == 1, "the heading alone"
