"""Operations under way: how writers and deleters of one repository keep out of each other's way without clocks.

Whoever changes a repository first says so by an object of its own, and then looks at the others'. Of two that come at
the same time, at least one sees the other. docs/reference/backup-format.md, Operations and Order of writes.
"""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from drystone.backup.format.keys import OPEN, operation_key
from drystone.base.errors import DamagedError, NotFoundError, UnsupportedError
from drystone.base.names import new_uuid
from drystone.store import Store

VERSION = 1

_WRITER = re.compile(r"([0-9a-f]{24})?")
_BOOT = "/proc/sys/kernel/random/boot_id"

_UNDER_WAY: set[str] = set()
"""Keys of this process's own operations: another one of its pid is left from a store that failed when it ended."""


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """What is being done, to which backup, upon which base, and by which process."""

    operation: str
    volume: str
    backup: str
    base: str = ""
    writer: str = ""
    host: str
    boot: str
    pids: str
    pid: int
    started: int
    version: int = VERSION


def _first_line(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""


def _start_of(pid: int) -> int:
    """Clock ticks after boot at which a process began (proc(5), stat, field 22); -1 when there is none."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return -1
    # The second field is the command in parentheses and may hold blanks; fields are counted from its end.
    return int(text.rpartition(")")[2].split()[19])


def _name_space() -> str:
    return str(Path("/proc/self/ns/pid").readlink())


def _host() -> str:
    return f"{_first_line('/etc/machine-id')}/{platform.node()}"


def describe(operation: str, volume: str, backup: str, base: str = "", writer: bytes = b"") -> Operation:
    """An operation of this process."""
    pid = os.getpid()
    return Operation(
        operation=operation,
        volume=volume,
        backup=backup,
        base=base,
        writer=writer.hex(),
        host=_host(),
        boot=_first_line(_BOOT),
        pids=_name_space(),
        pid=pid,
        started=_start_of(pid),
    )


def is_dead(key: str, operation: Operation) -> bool:
    """Whether nobody does it any more, as far as this machine can tell."""
    if operation.host != _host():
        return False
    if operation.boot != _first_line(_BOOT):
        return True
    if operation.pids != _name_space():
        return False
    if operation.pid == os.getpid() and _start_of(operation.pid) == operation.started:
        return key not in _UNDER_WAY
    return _start_of(operation.pid) != operation.started


@contextmanager
def announced(store: Store, operation: Operation) -> Iterator[str]:
    """Say that the operation is under way while the block runs; yields the key of the object that says so."""
    key = operation_key(new_uuid())
    _UNDER_WAY.add(key)
    try:
        store.put_if_absent(key, msgspec.json.encode(operation))
        yield key
    finally:
        _UNDER_WAY.discard(key)
        store.delete(key)


def living(store: Store, *, force: bool = False) -> dict[str, Operation]:
    """Operations by key. Dead ones (all of them with `force`) are deleted, which makes their owners fail if they live.

    :raises DamagedError: an object that tells nothing; `force` deletes it.
    :raises UnsupportedError: an operation of a newer program.
    """
    found: dict[str, Operation] = {}
    for key, _ in list(store.list(OPEN)):
        try:
            operation = _parse(key, store.get(key))
        except NotFoundError:
            continue
        except DamagedError:
            if not force:
                raise
            store.delete(key)
            continue
        if force or is_dead(key, operation):
            store.delete(key)
        else:
            found[key] = operation
    return found


def _parse(key: str, data: bytes) -> Operation:
    """:raises DamagedError: it tells no operation. :raises UnsupportedError: it is of a newer version."""
    hint = "drystone backup sweep --force removes it"
    try:
        operation = msgspec.json.decode(data, type=Operation)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise DamagedError(f"{key} tells no operation: {error}", hint=hint) from error
    if operation.version > VERSION:
        raise UnsupportedError(
            f"{key} is of version {operation.version}; this program knows up to {VERSION}", hint="use a newer drystone"
        )
    if _WRITER.fullmatch(operation.writer) is None:
        raise DamagedError(f"{key} names the writer {operation.writer[:40]!r}", hint=hint)
    return operation


def still_announced(store: Store, key: str) -> bool:
    """Whether nobody took this operation for dead."""
    try:
        store.get(key)
    except NotFoundError:
        return False
    return True
