# ruff: noqa: PTH103, PTH104, PTH108, PTH110, PTH115, PTH116, PTH118, PTH120, PTH208, PTH211  # a Path a node costs
# as much as all else, with thousands of them, and small tools start without pathlib
r"""/dev/mapper/NAME: there after create, resume and rename, gone after remove, with udev and without.

With a udev daemon its rules make and remove the links; we wait for them, with a limit, and do it ourselves when the
limit has passed. Without one we make what udev would: a symlink to ../dm-N, or a block device node of our own where
/dev has no dm-N. The kernel's device table is the truth; nothing here changes it.

Characters that udev does not allow in a link are spelled \xNN, as libdevmapper does (LVM2
`libdm/libdm-common.c`: letters, digits and #+-.:=@_ stay).
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
from collections.abc import Callable, Iterable

from drystone.base.characters import DIGITS, WORD, is_made_of
from drystone.base.clock import Clock, SystemClock
from drystone.base.errors import KernelError, UsageError
from drystone.kernel.dm.abc import DeviceNumber

FOLDER = "/dev/mapper"
CONTROL = "control"

_PLAIN = f"{WORD}#+-.:=@_"
"""Characters that stay."""
_MANGLED = r"(\\x[0-9a-fA-F]{2})"
"""A pattern, compiled when it is needed."""
_UDEV_SOCKET = "/run/udev/control"
_WAIT_STEP_S = 0.01
_CLOCK = SystemClock()


def mangle(name: str) -> str:
    r"""`name` as it is spelled in /dev/mapper: `a b` becomes `a\x20b`.

    A name that holds `\x20` already stays: libdevmapper gives such names to the kernel, and spells them the same.
    """
    if not name.strip(_PLAIN):
        return name
    pieces = re.split(_MANGLED, name)
    return "".join(piece if at % 2 else _mangle_plain(piece) for at, piece in enumerate(pieces))


def may_have_node(name: str) -> bool:
    """Whether a device of that name can have a node: not "", ".", "..", nor the control node's name."""
    return name not in {"", ".", "..", CONTROL}


def node_path(name: str, folder: str = FOLDER) -> str:
    """Where the node of the device called `name` is.

    :raises UsageError: it can have none (`may_have_node`).
    """
    if not may_have_node(name):
        raise UsageError(f"a device called {name!r} can have no node in {folder}")
    return f"{folder.rstrip('/')}/{mangle(name)}"


def udev_runs() -> bool:
    """Whether a udev daemon listens here."""
    return os.path.exists(_UDEV_SOCKET)


def leads_to(path: str) -> DeviceNumber | None:
    """The number of the block device at `path`, symlinks followed; None: there is none."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return DeviceNumber(os.major(found.st_rdev), os.minor(found.st_rdev)) if stat.S_ISBLK(found.st_mode) else None


def make_node(
    name: str,
    number: DeviceNumber,
    *,
    folder: str = FOLDER,
    wait_s: float = 5.0,
    udev: bool | None = None,
    clock: Clock = _CLOCK,
) -> str:
    """Have /dev/mapper/NAME lead to the device `number`; its path.

    :param udev: whether to wait for a udev daemon first, up to `wait_s` seconds; None: when one runs.
    :raises KernelError: it cannot be made.
    """
    path = node_path(name, folder)
    if udev is None:
        udev = udev_runs()
    if udev and _wait(lambda: leads_to(path) == number, wait_s, clock):
        return path
    if leads_to(path) != number:
        _put_node(path, number)
    return path


def remove_node(
    name: str, *, folder: str = FOLDER, wait_s: float = 5.0, udev: bool | None = None, clock: Clock = _CLOCK
) -> None:
    """Have no /dev/mapper/NAME. What is there and is no node of device-mapper's is left alone.

    :param udev: as in `make_node`.
    :raises KernelError: it cannot be removed.
    """
    path = node_path(name, folder)
    if udev is None:
        udev = udev_runs()
    if udev and _wait(lambda: not os.path.lexists(path), wait_s, clock):
        return
    if _is_ours(path):
        _unlink(path)


def stale_nodes(devices: Iterable[tuple[str, DeviceNumber]], *, folder: str = FOLDER) -> list[str]:
    """Paths of device-mapper's nodes in `folder` that lead to no device of that name among `devices`."""
    return _sort_nodes({mangle(name): number for name, number in devices}, folder)[1]


def _sort_nodes(wanted: dict[str, DeviceNumber], folder: str) -> tuple[set[str], list[str]]:
    """The names in `folder` that lead where they should, and the paths of stale nodes; one look at each.

    :param wanted: names as they are spelled there.
    """
    try:
        found = sorted(os.listdir(folder))
    except FileNotFoundError:
        return set(), []
    right: set[str] = set()
    stale: list[str] = []
    for name in found:
        path = os.path.join(folder, name)
        number = wanted.get(name)
        if number is not None and leads_to(path) == number:
            right.add(name)
        elif _is_ours(path):
            stale.append(path)
    return right, stale


def sync_nodes(devices: Iterable[tuple[str, DeviceNumber]], *, folder: str = FOLDER) -> list[str]:
    """Remove stale nodes and make the missing ones, without waiting for udev; the paths that changed.

    :param devices: name and number of every device that there is (and has a table).
    """
    wanted = {mangle(name): (name, number) for name, number in devices if may_have_node(name)}
    right, stale = _sort_nodes({name: number for name, (_, number) in wanted.items()}, folder)
    for path in stale:
        _unlink(path)
    made = [
        make_node(name, number, folder=folder, udev=False)
        for spelled, (name, number) in wanted.items()
        if spelled not in right
    ]
    return sorted({*stale, *made})


def _mangle_plain(text: str) -> str:
    return "".join(chr(byte) if chr(byte) in _PLAIN else f"\\x{byte:02x}" for byte in os.fsencode(text))


def _put_node(path: str, number: DeviceNumber) -> None:
    """A link to ../dm-N where that is the device, else a node; in place of what was there, without a gap."""
    folder, _, name = path.rpartition("/")
    passing = f"{folder}/.{name[:200]}.{os.getpid()}.{os.urandom(4).hex()}"
    try:
        os.makedirs(folder, mode=0o755, exist_ok=True)
        if leads_to(os.path.join(os.path.dirname(folder), f"dm-{number.minor}")) == number:
            os.symlink(f"../dm-{number.minor}", passing)
        else:
            os.mknod(passing, stat.S_IFBLK | 0o600, os.makedev(*number))
        os.rename(passing, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            os.unlink(passing)
        raise KernelError("make-node", error.errno or errno.EIO, device=path) from error


def _unlink(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        return
    except OSError as error:
        raise KernelError("remove-node", error.errno or errno.EIO, device=path) from error


def _is_ours(path: str) -> bool:
    """Whether `path` is a link to /dev/dm-N, or a block device node in the folder itself."""
    try:
        mode = os.lstat(path).st_mode
        if not stat.S_ISLNK(mode):
            return stat.S_ISBLK(mode)
        folder, _, name = os.readlink(path).rpartition("/")
        return folder in ("..", "/dev") and name.startswith("dm-") and is_made_of(name[3:], DIGITS)
    except OSError:
        return False


def _wait(done: Callable[[], bool], wait_s: float, clock: Clock) -> bool:
    """Whether `done` became true within `wait_s` seconds."""
    limit = clock.monotonic() + wait_s
    while not done():
        if clock.monotonic() >= limit:
            return False
        clock.sleep(_WAIT_STEP_S)
    return True
