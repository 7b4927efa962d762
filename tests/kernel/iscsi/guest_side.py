"""What the tests of two hosts call inside guests: one offers a leg, the other attaches it and writes."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from drystone.kernel.iscsi.abc import Timeouts, find_session
from drystone.kernel.iscsi.initiator import OpenIscsi
from drystone.kernel.iscsi.names import Portal
from drystone.testing.iscsi_leg import IQN, Leg, Writers, attach, name_this_host, offered, read_numbers

_STACK = ExitStack()
_LEGS: list[Leg] = []
_WRITERS: list[Writers] = []


def offer(disk: str, address: str) -> None:
    """On the dpv: for as long as its interpreter runs."""
    _LEGS.append(_STACK.enter_context(offered(Path(disk), Portal(address))))


def revoke(timeout: float) -> None:
    _LEGS[-1].revoke(timeout)


def count_writes() -> int:
    return _LEGS[-1].count_writes()


def grant() -> None:
    _LEGS[-1].grant()


def stored() -> list[int]:
    return read_numbers(_LEGS[-1].below)


def withdraw() -> None:
    _STACK.close()


def attach_from(address: str, replacement: int) -> str:
    """On the ihost: the disk's path."""
    name_this_host()
    return attach(Portal(address), Timeouts(replacement=replacement, login=5)).path


def state_of_session(address: str) -> str:
    session = find_session(OpenIscsi().sessions(), IQN, Portal(address))
    return f"{session.state} {session.disks[0].state}" if session else ""


def detach(address: str) -> None:
    OpenIscsi().logout(IQN, Portal(address))


def write(path: str) -> None:
    _WRITERS.append(Writers(path).__enter__())


def wait_for_writes(count: int) -> None:
    _WRITERS[-1].wait_for(count)


def finish(stop: bool) -> tuple[dict[int, int], list[str]]:
    """What was acknowledged, and how writers ended that were not stopped."""
    writers = _WRITERS.pop()
    if stop:
        writers.stop()
    writers.__exit__()
    return writers.acknowledged, writers.errors
