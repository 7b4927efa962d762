"""Operations under way: who writes, collects and reads, so that nobody takes away what another needs.

Safety does not rest on them: a writer finds out before its backup is acknowledged. They avoid needless failures, and
tell a collector what is not garbage yet. docs/reference/backup-format.md, Operations and Order of writes.
"""

from __future__ import annotations

import contextlib
import os
import platform
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from drystone.backup.format.keys import OPEN, operation_key, parse_operation_key, progress_of
from drystone.backup.state.document import State
from drystone.backup.state.generations import begin_state, read_state
from drystone.backup.vault import VERSION, Vault
from drystone.base.errors import BusyError, DamagedError, DrystoneError, NotFoundError, UnsupportedError
from drystone.base.names import new_uuid

_WRITER = re.compile(r"[0-9a-f]{24}")
_BOOT = "/proc/sys/kernel/random/boot_id"

_ATTEMPTS = 100

_UNDER_WAY: set[str] = set()
"""Keys of this process's own operations: another one of its pid is left from a store that failed when it ended."""


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """What is being done ("backup", "collect" or "read"), to which backup, upon which base, and by which process.

    :ivar generation: the number of the newest one when it began, or when that one began which it goes on with.
    :ivar writers: names (24 hex digits) in the ids of the packs that it puts or has taken over, and of its indexes.
    :ivar identity: what the source is; "" for a source that may have changed.
    """

    version: int = VERSION
    operation: str
    generation: int
    volume: str = ""
    backup: str = ""
    base: str = ""
    writers: tuple[str, ...] = ()
    identity: str = ""
    host: str
    boot: str
    pids: str
    pid: int
    started: int


@dataclass(slots=True)
class Announced:
    """An operation of this process that has been announced.

    :ivar key: of its object. :ivar name: its UUID. :ivar state: the newest when it had been announced: go by this one.
    :ivar keep: leave its object and its progress when it fails, so that somebody can go on with it.
    """

    key: str
    name: str
    operation: Operation
    state: State
    keep: bool = False


@contextmanager
def announced(
    vault: Vault,
    operation: str,
    volume: str = "",
    backup: str = "",
    *,
    base: str = "",
    writers: tuple[str, ...] = (),
    identity: str = "",
    since: int | None = None,
) -> Iterator[Announced]:
    """Say that an operation is under way while the block runs.

    :param since: the generation that one saw which is gone on with: what was doomed later stays for this one too.

    Its object and its progress are gone afterwards, unless the block fails and they are to be kept, or the store does
    not answer: then it counts as dead.

    :raises: what the store raises.
    """
    vault.check_writable()
    number = begin_state(vault).number
    name = new_uuid()
    key = operation_key(name)
    described = describe(
        operation,
        number if since is None else min(number, since),
        volume,
        backup,
        base=base,
        writers=writers,
        identity=identity,
    )
    own: Announced | None = None
    failed = True
    _UNDER_WAY.add(key)
    try:
        vault.store.put_if_absent(key, msgspec.json.encode(described))
        own = Announced(key, name, described, read_state(vault))
        yield own
        failed = False
    finally:
        _UNDER_WAY.discard(key)
        if own is None or not (failed and own.keep):
            with contextlib.suppress(DrystoneError):
                forget(vault, key)


@contextmanager
def reading(vault: Vault, volume: str = "", backup: str = "") -> Iterator[State]:
    """Announce that a backup is read while the block runs, where the store can be written to; yields the state.

    A store that refuses (read-only media, credentials without the right) is read all the same.
    """
    if vault.version < VERSION:
        yield read_state(vault)
        return
    key = operation_key(new_uuid())
    _UNDER_WAY.add(key)
    try:
        described = describe("read", read_state(vault).number, volume, backup)
        with contextlib.suppress(DrystoneError):
            vault.store.put_if_absent(key, msgspec.json.encode(described))
        yield read_state(vault)
    finally:
        _UNDER_WAY.discard(key)
        with contextlib.suppress(DrystoneError):
            vault.store.delete(key)


def is_there(vault: Vault, key: str) -> bool:
    """Whether there is an object: of an operation, that nobody took it for dead."""
    try:
        vault.store.get(key)
    except NotFoundError:
        return False
    return True


def read_operations(vault: Vault, damaged: list[DamagedError] | None = None) -> dict[str, Operation]:
    """All operations by key, living or dead.

    One that goes between its listing and its reading may have been taken over by another, which the listing had not
    yet: then they are listed again.

    :param damaged: takes the errors of objects that tell nothing; the fact `key` names them.
    :raises DamagedError: there is such an object and no `damaged`. :raises UnsupportedError: one of a newer program.
    """
    for _ in range(_ATTEMPTS):
        found: dict[str, Operation] = {}
        wrong: list[DamagedError] = []
        listed = [key for key, _ in vault.store.list(OPEN)]
        for key in listed:
            try:
                found[key] = _parse(key, vault.store.get(key))
            except NotFoundError:
                break
            except DamagedError as error:
                if damaged is None:
                    raise
                wrong.append(error)
        else:
            if damaged is not None:
                damaged += wrong
            return found
    raise BusyError("operations begin and end faster than they can be read", hint="try again")


def living(vault: Vault, *, force: bool = False, own: str = "") -> dict[str, Operation]:
    """The living operations by key. Dead ones (all but `own` with `force`) are deleted, their progress too.

    The order matters: an operation's object goes before anything of it is doomed, so that a writer which lives after
    all finds out.

    :raises DamagedError: an object that tells nothing; `force` deletes it.
    :raises UnsupportedError: an operation of a newer program.
    """
    damaged: list[DamagedError] | None = [] if force else None
    found = read_operations(vault, damaged)
    gone = [str(error.facts["key"]) for error in damaged or []]
    gone += [key for key, each in found.items() if key != own and (force or is_dead(key, each))]
    for key in gone:
        found.pop(key, None)
        forget(vault, key)
    return found


def dead(vault: Vault) -> dict[str, Operation]:
    """The operations that nobody does any more, by key. Nothing is deleted."""
    return {key: each for key, each in read_operations(vault, []).items() if is_dead(key, each)}


def forget(vault: Vault, key: str) -> None:
    """Delete an operation's object, and its progress after it."""
    name = parse_operation_key(key)
    vault.store.delete(key)
    if name is not None:
        for each, _ in list(vault.store.list(progress_of(name))):
            vault.store.delete(each)


def describe(
    operation: str,
    generation: int,
    volume: str = "",
    backup: str = "",
    *,
    base: str = "",
    writers: tuple[str, ...] = (),
    identity: str = "",
) -> Operation:
    """An operation of this process."""
    pid = os.getpid()
    return Operation(
        operation=operation,
        generation=generation,
        volume=volume,
        backup=backup,
        base=base,
        writers=writers,
        identity=identity,
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


def _parse(key: str, data: bytes) -> Operation:
    """:raises DamagedError: it tells no operation. :raises UnsupportedError: it is of a newer version."""
    hint = "drystone backup prune --force removes it"
    try:
        operation = msgspec.json.decode(data, type=Operation)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise DamagedError(f"{key} tells no operation: {error}", hint=hint, key=key) from error
    if operation.version > VERSION:
        raise UnsupportedError(
            f"{key} is of version {operation.version}; this program knows up to {VERSION}", hint="use a newer drystone"
        )
    if not all(_WRITER.fullmatch(each) for each in operation.writers):
        raise DamagedError(f"{key} names a writer that is none", hint=hint, key=key)
    return operation


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
