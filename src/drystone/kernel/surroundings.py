"""What a process may do and where: what another one would have to be alike in to do its work in its place.

Source: proc(5), namespaces(7).
"""

from __future__ import annotations

import contextlib
import os
import resource

import msgspec

_IDENTITY = (
    "Uid", "Gid", "Groups", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp",
)  # fmt: skip
"""Lines of /proc/PID/status that say as whom a process acts."""
_IGNORED = "SigIgn"
_LIMITS = tuple(sorted(value for name, value in vars(resource).items() if name.startswith("RLIMIT_")))


class Surroundings(msgspec.Struct, frozen=True):
    """Whatever a process cannot give to another one.

    :ivar identity: users, groups, capabilities, what seccomp is. :ivar namespaces: of every kind, and those that its
        children get. :ivar root: device and inode of its root folder. :ivar label: SELinux's or AppArmor's.
    :ivar scheduling: the policy's number. :ivar oom: what is added to its score when memory runs out.
    """

    identity: tuple[str, ...]
    namespaces: tuple[str, ...]
    root: tuple[int, int]
    label: str
    scheduling: int
    oom: str


class Allowance(msgspec.Struct, frozen=True):
    """What one process can take over from another.

    :ivar limits: the text of /proc/PID/limits. :ivar nice: -20 to 19. :ivar processors: that it may run on.
    :ivar ignored: signals that it ignores, bit n - 1 for signal n.
    """

    limits: str
    nice: int
    processors: frozenset[int]
    ignored: int


def read_surroundings(pid: int) -> tuple[Surroundings, Allowance]:
    """Those of a process.

    :raises OSError: it has ended, or may not be looked at.
    """
    place = f"/proc/{pid}"
    lines = dict(line.partition(":")[::2] for line in _read(f"{place}/status").splitlines())
    root = os.stat(f"{place}/root")  # noqa: PTH116  # once a command, and pathlib takes its time
    label = ""
    with contextlib.suppress(OSError):  # a kernel without such a thing
        label = _read(f"{place}/attr/current")
    surroundings = Surroundings(
        identity=tuple(lines.get(name, "").strip() for name in _IDENTITY),
        namespaces=tuple(os.readlink(f"{place}/ns/{name}") for name in sorted(os.listdir(f"{place}/ns"))),  # noqa: PTH115, PTH208
        root=(root.st_dev, root.st_ino),
        label=label,
        scheduling=os.sched_getscheduler(pid),
        oom=_read(f"{place}/oom_score_adj").strip(),
    )
    allowance = Allowance(
        limits=_read(f"{place}/limits"),
        nice=os.getpriority(os.PRIO_PROCESS, pid),
        processors=frozenset(os.sched_getaffinity(pid)),
        ignored=int(lines[_IGNORED], 16),
    )
    return surroundings, allowance


def find_difference(ours: Surroundings, theirs: Surroundings) -> str:
    """The first thing in which they differ, by its name; "" for none."""
    return next((name for name in Surroundings.__struct_fields__ if getattr(ours, name) != getattr(theirs, name)), "")


def take_allowance(pid: int, ours: Allowance, theirs: Allowance) -> None:
    """Have this process run with the limits of the process `pid`, on its processors, as nice as it is.

    :raises OSError: it has ended, or this process may not. :raises ValueError: this process may not raise a limit.
    """
    if ours.limits != theirs.limits:
        for limit in _LIMITS:
            wanted = resource.prlimit(pid, limit)
            if resource.getrlimit(limit) != wanted:
                resource.setrlimit(limit, wanted)
    if ours.nice != theirs.nice:
        os.setpriority(os.PRIO_PROCESS, 0, theirs.nice)
    if ours.processors != theirs.processors:
        os.sched_setaffinity(0, theirs.processors)


def _read(path: str) -> str:
    with open(path, encoding="utf-8", errors="surrogateescape") as stream:  # noqa: PTH123
        return stream.read()
