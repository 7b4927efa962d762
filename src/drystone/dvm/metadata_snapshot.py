"""Metadata snapshots: a pool's or an era device's metadata as it is at a moment, held so that it can be read.

A device has one at most. Who wants it takes the device's lock first, so one that is there then is left from a crash and
is dropped; but for one that somebody keeps on purpose (`keep`), which is refused. Both are known on this machine until
it starts again: after that, whatever is held is left over.

    with held_metadata(dm, "db", ERA) as location:
        ... read the metadata device from block `location` on ...
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from drystone.base.errors import BusyError, NotFoundError, UnavailableError, UsageError
from drystone.dvm.dmexec import execute
from drystone.dvm.instructions import ClearFail, Jmp, Label, Message, Resume, Suspend
from drystone.dvm.inverse import inverse
from drystone.dvm.program import Needed, Program
from drystone.dvm.result import Result
from drystone.dvm.signals import unwound_by_signals
from drystone.dvm.unwinding import Writer
from drystone.kernel.dm.abc import DeviceInfo, DeviceMapper, Ref
from drystone.kernel.dm.statuses import EraStatus, ThinPoolStatus, parse_status
from drystone.kernel.filelock import FileLock

LOCKS = Path("/run/drystone")
"""The folder of the locks. It is empty after the machine has started, as the locks are."""

Run = Callable[[Program], Result]


@dataclass(frozen=True, slots=True)
class Kind:
    """A target that gives metadata snapshots: its name, what people call it, and its two messages."""

    target: str
    noun: str
    take: str
    drop: str


ERA = Kind("era", "era device", "take_metadata_snap", "drop_metadata_snap")
POOL = Kind("thin-pool", "thin pool", "reserve_metadata_snap", "release_metadata_snap")


def take_snapshot(kind: Kind, device: str, uuid: str = "", *, replace: bool = False, drain: bool = False) -> Program:
    """The program that takes a device's metadata snapshot.

    :param replace: one that is held is dropped first.
    :param drain: the device is suspended and resumed after that. A write that the snapshot tells of may be on its way
        still: when the program has ended, all of them are finished. What is let through later is not in the snapshot.
    """
    writer = Writer()
    if replace:
        free, on = writer.new_label("free"), writer.new_label("on")
        writer.tolerate(Message(device, kind.drop), "EINVAL", free)
        writer.plain(Jmp(on), Label(free), ClearFail(), Label(on))
        writer.seal()
    message = Message(device, kind.take)
    writer.do(message)
    if drain:
        writer.seal()  # an era has begun, and dropping a snapshot cannot be undone
        writer.undo_with(inverse(message) or ())
        suspend = Suspend(device, lock_fs=False)
        writer.do(suspend, undo=inverse(suspend) or ())
        writer.do(Resume(device))
    return Program(tuple(writer.finish()), (Needed(device, uuid),))


def drop_snapshot(kind: Kind, device: str, uuid: str = "") -> Program:
    """The program that drops a device's metadata snapshot; one that is not held is fine."""
    writer = Writer()
    free = writer.new_label("free")
    writer.tolerate(Message(device, kind.drop), "EINVAL", free)
    writer.plain(Label(free), ClearFail())
    return Program(tuple(writer.finish()), (Needed(device, uuid),))


def find_held(dm: DeviceMapper, device: Ref, kind: Kind) -> int | None:
    """Where a device's metadata snapshot is (a block of its metadata device); None when none is held.

    :raises UsageError: `device` is of another kind. :raises BusyError: it is suspended and gives no answer.
    :raises UnavailableError: it has failed.
    """
    info = dm.info(device)
    name = info.name
    table = dm.table(info.number)
    if len(table) != 1 or table[0].target != kind.target:
        raise UsageError(f"{name} is no {kind.noun}")
    if info.suspended:
        raise BusyError(f"{name} is suspended and gives no answer", hint=f"drystone dm resume {name}")
    status = parse_status(dm.status(info.number)[0])
    if not isinstance(status, EraStatus | ThinPoolStatus):
        raise UnavailableError(f"{kind.noun} {name} has failed", hint="look at the kernel's log (dmesg)")
    return status.held_root


@contextlib.contextmanager
def locked(info: DeviceInfo, kind: Kind, locks: Path = LOCKS) -> Iterator[None]:
    """Be the only one who handles the device's metadata snapshot.

    :raises BusyError: another process does, or this one already.
    """
    locks.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = FileLock(_lock_path(info, kind, locks, "lock"))
    lock.take(f"the metadata snapshot of {info.name}")
    try:
        yield
    finally:
        lock.release()


@contextlib.contextmanager
def held_metadata(
    dm: DeviceMapper,
    device: Ref,
    kind: Kind,
    *,
    drain: bool = False,
    run: Run | None = None,
    locks: Path = LOCKS,
) -> Iterator[int]:
    """Hold a metadata snapshot of a device; yields where it is, a block number of its metadata device.

    One that a crash left is dropped first; ours is dropped in every case but a crash, SIGKILL among them: SIGTERM and
    SIGHUP, which would end the process at once, raise SystemExit here.

    :param drain: see `take_snapshot`.
    :param run: runs a program; by default it is run as `dvm dmexec` does.
    :raises UsageError: `device` is of another kind.
    :raises UnavailableError: it has failed, or somebody dropped the snapshot while it was read.
    :raises BusyError: another process reads the metadata, or keeps a snapshot on purpose.
    """
    runs = run or partial(execute, dm=dm)
    info = dm.info(device)
    with locked(info, kind, locks), unwound_by_signals():
        left = find_held(dm, info.number, kind)
        if left is not None and is_kept(info, kind, left, locks):
            raise BusyError(
                f"a metadata snapshot of {info.name} is kept at block {left}",
                hint=f"read it, then drop it: drystone era drop {info.name}",
            )
        try:
            taken = runs(take_snapshot(kind, info.name, info.uuid, replace=left is not None, drain=drain))
        except (KeyboardInterrupt, SystemExit):
            # One that came while the program ran is raised when it has ended: the snapshot is there.
            runs(drop_snapshot(kind, info.name, info.uuid)).require_done()
            raise
        taken.require_done()
        try:
            held = find_held(dm, info.number, kind)
            if held is None:
                raise UnavailableError(f"{info.name} gave no metadata snapshot")
            yield held
            if find_held(dm, info.number, kind) != held:
                raise UnavailableError(
                    f"the metadata snapshot of {info.name} was dropped while it was read", hint="try again"
                )
        finally:
            runs(drop_snapshot(kind, info.name, info.uuid)).require_done()


def keep(
    dm: DeviceMapper,
    device: Ref,
    kind: Kind,
    *,
    replace: bool = False,
    drain: bool = False,
    run: Run | None = None,
    locks: Path = LOCKS,
) -> int:
    """Take a metadata snapshot that stays until `let_go`; where it is.

    :param replace: drop one that is held. :param drain: see `take_snapshot`.
    :raises BusyError: one is held, or is being handled. And as `held_metadata`.
    """
    runs = run or partial(execute, dm=dm)
    info = dm.info(device)
    with locked(info, kind, locks):
        held = find_held(dm, info.number, kind)
        if held is not None and not replace:
            raise BusyError(f"a metadata snapshot of {info.name} is held already, at block {held}")
        runs(take_snapshot(kind, info.name, info.uuid, replace=held is not None, drain=drain)).require_done()
        held = find_held(dm, info.number, kind)
        if held is None:
            raise UnavailableError(f"{info.name} gave no metadata snapshot")
        _lock_path(info, kind, locks, "kept").write_text(f"{held}\n")
        return held


def let_go(dm: DeviceMapper, device: Ref, kind: Kind, *, run: Run | None = None, locks: Path = LOCKS) -> int:
    """Drop a device's metadata snapshot, whoever took it; where it was.

    :raises NotFoundError: none is held. :raises BusyError: it is being read. And as `held_metadata`.
    """
    runs = run or partial(execute, dm=dm)
    info = dm.info(device)
    with locked(info, kind, locks):
        held = find_held(dm, info.number, kind)
        if held is None:
            raise NotFoundError(f"{info.name} holds no metadata snapshot")
        runs(drop_snapshot(kind, info.name, info.uuid)).require_done()
        _lock_path(info, kind, locks, "kept").unlink(missing_ok=True)
        return held


def is_kept(info: DeviceInfo, kind: Kind, held: int, locks: Path = LOCKS) -> bool:
    """Whether the snapshot at block `held` is kept on purpose, by somebody on this machine since it started."""
    try:
        return _lock_path(info, kind, locks, "kept").read_text() == f"{held}\n"
    except FileNotFoundError:
        return False


def _lock_path(info: DeviceInfo, kind: Kind, locks: Path, ending: str) -> Path:
    """Numbers are given out again when a device is gone, names are what people change: a uuid is neither."""
    who = info.uuid or str(info.number)
    return locks / f"{kind.target}-{who.replace('/', '_')}.{ending}"
