"""File systems by their own programs: one function a program, results decoded here.

A failing program is a DrystoneError whose facts hold `program`, `status` (its exit code), `device` and `output`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from drystone.base.errors import DamagedError, DrystoneError, NotFoundError, RefusedError, UnsupportedError, UsageError
from drystone.base.sizes import SECTOR
from drystone.kernel.programs import Outcome, run_program

_ENCODED = re.compile(rb"\\x([0-9a-fA-F]{2})")
_BLKID_NOTHING = 2
_BLKID_SEVERAL = 8
_MOST_OUTPUT = 4000


@dataclass(frozen=True, slots=True)
class Signature:
    """What is on a device.

    :ivar kind: such as ext4, xfs, LVM2_member; of a partition table such as gpt or dos.
    :ivar usage: filesystem, raid, crypto, other, or partition-table.
    """

    kind: str
    label: str
    uuid: str
    usage: str


@dataclass(frozen=True, slots=True)
class _Kind:
    """How a kind of file system is made, checked, changed; `shrink` is None where it cannot be made smaller."""

    make: Callable[[str, str], None]
    check: Callable[[str, bool], None]
    grow: Callable[[str, str], None]
    renew: Callable[[str], None]
    shrink: Callable[[str, int], None] | None = None


def make_ext4(device: str, label: str = "") -> None:
    """mkfs.ext4, whatever is on the device. The rest of its tables is written when it is first mounted.

    :raises UnsupportedError: e2fsprogs is not installed. :raises DrystoneError: it failed.
    """
    arguments = ["-q", "-F", "-E", "nodiscard,lazy_itable_init=1,lazy_journal_init=1"]
    arguments += ["-L", label] if label else []
    _succeed(run_program("mkfs.ext4", [*arguments, device], package="e2fsprogs"), device)


def make_xfs(device: str, label: str = "") -> None:
    """mkfs.xfs, whatever is on the device; it wants 300 MiB or more.

    :raises UnsupportedError: xfsprogs is not installed. :raises DrystoneError: it failed.
    """
    arguments = ["-q", "-f", "-K", *(["-L", label] if label else [])]
    _succeed(run_program("mkfs.xfs", [*arguments, device], package="xfsprogs"), device)


def make(kind: str, device: str, *, label: str = "", force: bool = False) -> None:
    """A new file system of `kind` on a device that is empty, or whatever is on it with `force`.

    :raises RefusedError: there is something on the device. :raises UsageError: a kind that is not in KINDS.
    :raises UnsupportedError: a program is not installed. :raises DrystoneError: it failed.
    """
    maker = _find_kind(kind).make
    found = None if force else probe(device)
    if found is not None:
        raise RefusedError(f"there is {found.kind} on {device}", device=device, kind=found.kind, uuid=found.uuid)
    maker(device, label)


def check_ext4(device: str, repair: bool = False) -> None:
    """e2fsck of a file system that is not mounted; the journal is replayed with `repair` only.

    :raises DamagedError: it has errors that were not mended. :raises DrystoneError: it could not be looked at.
    """
    outcome = run_program("e2fsck", ["-f", "-p" if repair else "-n", device], package="e2fsprogs")
    if outcome.code & 4:
        raise DamagedError(f"the ext4 on {device} has errors", **_facts(outcome, device))
    if outcome.code & ~7:
        raise _failure(outcome, device)


def check_xfs(device: str, repair: bool = False) -> None:
    """xfs_repair of a file system that is not mounted; nothing is written unless `repair`.

    :raises DamagedError: it has errors that were not mended. :raises DrystoneError: it could not be looked at.
    """
    outcome = run_program("xfs_repair", [*([] if repair else ["-n"]), device], package="xfsprogs")
    if outcome.code in {1, 2}:
        raise DamagedError(f"the xfs on {device} has errors", **_facts(outcome, device))
    if outcome.code:
        raise _failure(outcome, device)


def check(kind: str, device: str, *, repair: bool = False) -> None:
    """fsck of a file system that is not mounted.

    :raises UsageError: a kind that is not in KINDS. :raises DamagedError: it has errors.
    :raises UnsupportedError: a program is not installed. :raises DrystoneError: it could not be looked at.
    """
    _find_kind(kind).check(device, repair)


def grow_ext4(device: str, target: str = "") -> None:
    """resize2fs to the device's size, mounted or not; one that is not wants `check_ext4` before it.

    :raises DrystoneError: it failed.
    """
    del target
    _succeed(run_program("resize2fs", [device], package="e2fsprogs"), device)


def grow_xfs(device: str, target: str = "") -> None:
    """xfs_growfs to the device's size; it must be mounted at `target`.

    :raises UsageError: no target. :raises DrystoneError: it failed.
    """
    if not target:
        raise UsageError(f"the xfs on {device} can be grown only while it is mounted")
    _succeed(run_program("xfs_growfs", [target], package="xfsprogs"), device)


def shrink_ext4(device: str, size: int) -> None:
    """resize2fs to `size` bytes, rounded down to whole blocks; it must not be mounted, and `check_ext4` comes first.

    Durable when it returns: resize2fs flushes what it wrote.

    :raises RefusedError: it holds more than that. :raises DrystoneError: it failed.
    """
    outcome = run_program("resize2fs", [device, f"{size // SECTOR}s"], package="e2fsprogs")
    if outcome.code and "smaller than minimum" in outcome.stderr:
        raise RefusedError(
            f"the ext4 on {device} holds more than fits into {size} bytes",
            hint="a larger size, or less in it",
            **_facts(outcome, device),
        )
    _succeed(outcome, device)


def shrink(kind: str, device: str, size: int) -> None:
    """Make a file system that is not mounted `size` bytes large.

    :raises UsageError: a kind that is not in KINDS. :raises RefusedError: its kind cannot, or it holds too much.
    :raises UnsupportedError: a program is not installed. :raises DrystoneError: it failed.
    """
    change = _find_kind(kind).shrink
    if change is None:
        raise RefusedError(f"{kind} cannot be made smaller", device=device, kind=kind)
    change(device, size)


def grow(kind: str, device: str, target: str = "") -> None:
    """Make a file system as large as its device has become. `target`: where it is mounted, "" when it is not.

    :raises UsageError: a kind that is not in KINDS, or an xfs that is not mounted.
    :raises UnsupportedError: a program is not installed. :raises DrystoneError: it failed.
    """
    _find_kind(kind).grow(device, target)


def renew_uuid_of_ext4(device: str) -> None:
    """tune2fs with a new random UUID, of a file system that is not mounted, after e2fsck, which tune2fs insists on.

    It takes as long as a check does. :raises DamagedError: it has errors. :raises DrystoneError: it failed.
    """
    check_ext4(device, repair=True)
    _succeed(run_program("tune2fs", ["-U", "random", device], package="e2fsprogs"), device)


def renew_uuid_of_xfs(device: str) -> None:
    """xfs_admin with a new random UUID, of a file system that is not mounted and was unmounted in an orderly way.

    :raises DrystoneError: it failed, as it does when the log still holds something.
    """
    _succeed(run_program("xfs_admin", ["-U", "generate", device], package="xfsprogs"), device)


def renew_uuid(kind: str, device: str) -> None:
    """Give a file system that is not mounted a UUID of its own.

    :raises UnsupportedError: a kind that is not in KINDS, or a program is not installed.
    :raises DamagedError: it has errors. :raises DrystoneError: it failed.
    """
    if kind not in _KINDS:
        found = f"{kind} is on {device}" if kind else f"nothing that is known is on {device}"
        raise UnsupportedError(f"{found}: only the UUIDs of {' and '.join(KINDS)} can be renewed")
    _KINDS[kind].renew(device)


def probe(device: str) -> Signature | None:
    """What is on a device, by reading it (blkid), not from a cache; None: nothing known.

    :raises NotFoundError: there is no such device. :raises DamagedError: marks of several kinds at once.
    """
    outcome = run_program("blkid", ["-p", "-o", "udev", device], package="util-linux")
    if outcome.code == _BLKID_SEVERAL:
        raise DamagedError(f"{device} has the marks of several file systems", **_facts(outcome, device))
    if outcome.code == _BLKID_NOTHING:
        if not os.path.exists(device):  # noqa: PTH110  # blkid has one exit code for both
            raise NotFoundError(f"there is no {device}")
        return None
    if outcome.code:
        raise _failure(outcome, device)
    return parse_blkid(outcome.stdout)


def parse_blkid(text: str) -> Signature | None:
    r"""The answer of `blkid -o udev`: lines ID_FS_TYPE=ext4, odd bytes of the _ENC ones spelled \xNN."""
    values = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    if kind := values.get("ID_FS_TYPE", ""):
        return Signature(
            kind=kind,
            label=_decode(values.get("ID_FS_LABEL_ENC", "")),
            uuid=values.get("ID_FS_UUID", ""),
            usage=values.get("ID_FS_USAGE", ""),
        )
    if kind := values.get("ID_PART_TABLE_TYPE", ""):
        return Signature(kind=kind, label="", uuid=values.get("ID_PART_TABLE_UUID", ""), usage="partition-table")
    return None


_KINDS = {
    "ext4": _Kind(make_ext4, check_ext4, grow_ext4, renew_uuid_of_ext4, shrink_ext4),
    "xfs": _Kind(make_xfs, check_xfs, grow_xfs, renew_uuid_of_xfs),
}

KINDS = tuple(_KINDS)
"""The kinds of file system that can be made."""


def _find_kind(kind: str) -> _Kind:
    try:
        return _KINDS[kind]
    except KeyError:
        raise UsageError(f"file system {kind!r} is not one of {', '.join(KINDS)}") from None


def _succeed(outcome: Outcome, device: str) -> None:
    if outcome.code:
        raise _failure(outcome, device)


def _failure(outcome: Outcome, device: str) -> DrystoneError:
    return DrystoneError(f"{outcome.program} on {device} failed: {outcome.last_line()}", **_facts(outcome, device))


def _facts(outcome: Outcome, device: str) -> dict[str, Any]:
    output = (outcome.stdout + outcome.stderr)[-_MOST_OUTPUT:]
    return {"program": outcome.program, "status": outcome.code, "device": device, "output": output}


def _decode(text: str) -> str:
    return os.fsdecode(_ENCODED.sub(lambda match: bytes([int(match[1], 16)]), os.fsencode(text)))
