"""A leg over the network: node1 offers a disk that loses at a power cut what was not flushed, node2 writes to it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from drystone.base.errors import DrystoneError
from drystone.lab.lab import Lab
from drystone.lab.python import Python

SIDE = str(Path(__file__).parent / "guest_side.py")
DISK = "/dev/lab/disk0"
FAILED = {"Input/output error", "Remote I/O error"}


@pytest.fixture
def lab() -> Iterator[Lab]:
    with Lab(2, memory=192 << 20, disks=[16 << 20], modules=["sd_mod"]) as made:
        yield made


@contextmanager
def writing(lab: Lab, replacement: int) -> Iterator[tuple[Python, Python]]:
    """The dpv and the ihost, which writes to a leg. :param replacement: timeout, in seconds."""
    one, two = lab.guests
    with one.python() as dpv, two.python() as ihost:
        dpv.call(f"{SIDE}:offer", DISK, one.address)
        path = ihost.call(f"{SIDE}:attach_from", one.address, replacement)
        ihost.call(f"{SIDE}:write", path)
        ihost.call(f"{SIDE}:wait_for_writes", 100)
        yield dpv, ihost


def await_state(ihost: Python, address: str, wanted: str) -> None:
    end = time.monotonic() + 60
    while (state := ihost.call(f"{SIDE}:state_of_session", address)) != wanted:
        assert time.monotonic() < end, f"{state!r}, not {wanted!r}"
        time.sleep(0.2)


def missing(acknowledged: dict[str, int], stored: list[int]) -> list[str]:
    """Blocks whose last acknowledged number is not on the disk, nor a later one."""
    return [block for block, number in acknowledged.items() if stored[int(block)] < number]


@pytest.mark.usefixtures("driver")
def test_a_link_that_is_cut(lab: Lab) -> None:
    one = lab.guests[0]
    with writing(lab, replacement=8) as (dpv, ihost):
        one.cut()
        time.sleep(2.5)
        one.heal()
        ihost.call(f"{SIDE}:wait_for_writes", 100)  # a short one is ridden out
        one.cut()
        acknowledged, errors = ihost.call(f"{SIDE}:finish", False, timeout=90)
        assert set(errors) <= FAILED
        assert ihost.call(f"{SIDE}:state_of_session", one.address) == "FREE transport-offline"
        one.heal()
        await_state(ihost, one.address, "LOGGED_IN running")
        assert not missing(acknowledged, dpv.call(f"{SIDE}:stored"))
        ihost.call(f"{SIDE}:detach", one.address)
        dpv.call(f"{SIDE}:withdraw")


@pytest.mark.usefixtures("driver")
def test_a_host_that_cannot_be_reached_is_fenced(lab: Lab) -> None:
    one, two = lab.guests
    with writing(lab, replacement=10) as (dpv, ihost):
        two.cut()
        time.sleep(1)  # writes are on their way that the dpv has not seen
        dpv.call(f"{SIDE}:revoke", 20)
        written, fenced = dpv.call(f"{SIDE}:count_writes"), dpv.call(f"{SIDE}:stored")
        two.heal()
        time.sleep(5)  # the ihost tries again and again, and would do them now
        assert dpv.call(f"{SIDE}:stored") == fenced
        acknowledged, errors = ihost.call(f"{SIDE}:finish", False, timeout=90)
        assert set(errors) <= FAILED
        assert dpv.call(f"{SIDE}:count_writes") == written
        assert dpv.call(f"{SIDE}:stored") == fenced
        assert not missing(acknowledged, fenced)
        ihost.call(f"{SIDE}:detach", one.address)
        with pytest.raises(DrystoneError, match="refuses this initiator"):
            ihost.call(f"{SIDE}:attach_from", one.address, 5)


@pytest.mark.usefixtures("driver")
def test_a_kernel_that_dies_has_stored_what_it_acknowledged(lab: Lab) -> None:
    one, two = lab.guests
    with one.python() as dpv, two.python() as ihost:
        dpv.call(f"{SIDE}:offer", DISK, one.address)
        path = ihost.call(f"{SIDE}:attach_from", one.address, 3)
        ihost.call(f"{SIDE}:write", path)
        ihost.call(f"{SIDE}:wait_for_writes", 200)
        one.kill()
        acknowledged, errors = ihost.call(f"{SIDE}:finish", False, timeout=90)
        assert set(errors) <= FAILED
    one.boot()
    with one.python() as dpv, two.python() as ihost:
        dpv.call(f"{SIDE}:offer", DISK, one.address)
        assert not missing(acknowledged, dpv.call(f"{SIDE}:stored"))
        await_state(ihost, one.address, "LOGGED_IN running")  # the session that lost it has found it again
        ihost.call(f"{SIDE}:detach", one.address)
