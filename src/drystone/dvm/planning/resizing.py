"""A volume and the file system on it get another size: what is done, and in which order.

Larger: the volume first, then the file system. Smaller: the file system first, then the volume. So the file system
never reaches beyond its volume, and a run that was cut short is finished by a run to the same size.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import msgspec

from drystone.base.errors import BusyError, RefusedError, UnsupportedError, UsageError
from drystone.base.sizes import format_size

Act = Literal["extend-volume", "reduce-volume", "check-file-system", "grow-file-system", "shrink-file-system"]


class Step(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One thing to do. :ivar what: in words. :ivar size: bytes, of what gets a size."""

    act: Act
    what: str
    size: int = 0


class Resizing(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What `dvm resize` prints.

    :ivar old, new: bytes of the volume. :ivar file_system: its kind, "" for none.
    :ivar mounted: where, "" when it is not.
    """

    schema: Literal["drystone.dvm.resizing"] = "drystone.dvm.resizing"
    version: Literal[1] = 1
    group: str
    volume: str
    old: int
    new: int
    file_system: str = ""
    mounted: str = ""
    steps: tuple[Step, ...] = ()
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class Content:
    """What is on a volume.

    :ivar kind: as `kernel.filesystems.Signature` has it, "" for nothing known.
    :ivar mounted: a mount point, "" when it is not mounted. :ivar in_use: whether anybody has the volume open.
    """

    kind: str = ""
    mounted: str = ""
    in_use: bool = False


@dataclass(frozen=True, slots=True)
class Ability:
    """What a kind of file system can do. It can always grow while it is mounted."""

    grows_unmounted: bool
    shrinks_unmounted: bool


ABILITIES = {"ext4": Ability(True, True), "xfs": Ability(False, False)}
"""The kinds that can be resized; none is made smaller while it is mounted.

resize2fs(8): on-line resizing can make a file system larger only; xfs_growfs(8): it must be mounted to be grown.
"""


def plan_resize(name: str, old: int, new: int, content: Content) -> tuple[Step, ...]:
    """The steps from `old` to `new` bytes of the volume `name`. With both alike, those that a run cut short left out.

    :raises UsageError: it has that size, and nothing on it that could be brought to it.
    :raises UnsupportedError: what is on it is nothing that can be resized.
    :raises RefusedError: the file system cannot be made smaller, or not while it is mounted, or grows only then.
    :raises BusyError: it is in use, and not mounted here.
    """
    kind = content.kind
    if kind and kind not in ABILITIES:
        raise UnsupportedError(
            f"there is {kind} on {name}, which is not resized here",
            hint="dvm metadata extend and reduce change the volume alone; its content is resized by its own program",
            volume=name,
        )
    if old == new and not kind:
        raise UsageError(f"{name} has {old} bytes already", hint="a size that differs", volume=name)
    if content.in_use and not content.mounted and kind:
        raise BusyError(f"{name} is in use, and is not mounted here", hint="whoever uses it has to close it")
    return _smaller(name, new, content) if new < old else _larger(name, old, new, content)


def _larger(name: str, old: int, new: int, content: Content) -> tuple[Step, ...]:
    kind, steps = content.kind, []
    if kind and not content.mounted and not ABILITIES[kind].grows_unmounted:
        raise RefusedError(f"{kind} grows only while it is mounted, and {name} is not", hint="mount it", volume=name)
    if new > old:
        steps.append(Step("extend-volume", f"{name} gets {format_size(new)} instead of {format_size(old)}", new))
    if kind and not content.mounted:
        steps.append(Step("check-file-system", f"the {kind} on {name} is checked"))
    if kind:
        where = f", mounted at {content.mounted}," if content.mounted else ""
        steps.append(Step("grow-file-system", f"the {kind} on {name}{where} grows to the volume's size"))
    return tuple(steps)


def _smaller(name: str, new: int, content: Content) -> tuple[Step, ...]:
    kind = content.kind
    if not kind:
        raise RefusedError(
            f"there is no file system on {name}: what lies beyond byte {new} would be lost",
            hint="dvm metadata reduce --lose-data makes the volume alone smaller",
            volume=name,
        )
    if not ABILITIES[kind].shrinks_unmounted:
        raise RefusedError(f"{kind} cannot be made smaller", hint="copy what it holds to a smaller volume", volume=name)
    if content.mounted:
        raise RefusedError(
            f"{kind} is not made smaller while it is mounted, as {name} is at {content.mounted}",
            hint=f"umount {content.mounted}",
            volume=name,
        )
    return (
        Step("check-file-system", f"the {kind} on {name} is checked"),
        Step("shrink-file-system", f"the {kind} on {name} shrinks to {format_size(new)}", new),
        Step("reduce-volume", f"{name} gets {format_size(new)}", new),
    )
