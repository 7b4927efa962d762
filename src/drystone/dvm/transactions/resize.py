"""Carries out a resizing: volume and file system, one step after the other. What is done, `planning.resizing` says."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from drystone.base.errors import DrystoneError, UsageError
from drystone.dvm.groups.group import Group, Index
from drystone.dvm.groups.kinds import ThinPool
from drystone.dvm.metadata import size as mutators
from drystone.dvm.planning.resizing import Content, Resizing, Step, plan_resize
from drystone.dvm.transactions.live_group import LiveGroup
from drystone.kernel.dm.abc import DeviceInfo


class FileSystems(Protocol):
    """What is done to file systems; `kernel.filesystems` does it. `device`: a path."""

    def look(self, info: DeviceInfo) -> Content:
        """What is on a device."""

    def check(self, kind: str, device: str) -> None:
        """See that it is whole, and mend what can be mended without asking."""

    def grow(self, kind: str, device: str, target: str) -> None:
        """Make it as large as its device; `target`: where it is mounted, or ""."""

    def shrink(self, kind: str, device: str, size: int) -> None:
        """Make it `size` bytes large."""

    def path(self, info: DeviceInfo) -> str:
        """The path of a device."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What is asked for: `size` bytes, or `by` bytes more (or less, when it is negative)."""

    volume: str
    size: int | None = None
    by: int | None = None
    policy: str = "anywhere"
    devices: tuple[str, ...] = ()


def resize(live: LiveGroup, wish: Wish, systems: FileSystems, *, dry_run: bool = False) -> Resizing:
    """Do it; what was done, or with `dry_run` would be.

    A step that fails leaves what was done before it, and the file system whole within its volume: a wish for the same
    size goes on from there.

    :raises DrystoneError: as `plan_resize` and the mutators do, nothing is changed then; or of a step: behind the first
        one the hint says how to go on (facts: `size`, bytes).
    """
    group = live.read()
    volume = Index(group).find(wish.volume)
    if volume.part_of is not None or isinstance(volume, ThinPool):
        raise UsageError(f"{wish.volume} holds no file system", hint="dvm metadata extend", kind=volume.kind)
    new = _resized(group, wish)
    info = live.device(group, wish.volume)
    content = systems.look(info)
    steps = plan_resize(wish.volume, volume.size, new, content)
    if not dry_run:
        _act_all(live, wish, systems, content, systems.path(info), steps, new)
    return Resizing(
        group=group.name,
        volume=wish.volume,
        old=volume.size,
        new=new,
        file_system=content.kind,
        mounted=content.mounted,
        steps=steps,
        dry_run=dry_run,
    )


def _resized(group: Group, wish: Wish) -> int:
    """Bytes of the volume afterwards: what was asked for, rounded up to what it can have."""
    if (wish.size is None) == (wish.by is None):
        raise UsageError("one of a size and a difference is needed")
    old = Index(group).find(wish.volume).size
    wanted = wish.size if wish.size is not None else old + (wish.by or 0)
    rounded = -(-wanted // group.extent_size) * group.extent_size
    if wanted > 0 and rounded == old:
        return old
    change = _volume_change(wish, wanted, larger=wanted > old)
    return Index(change(group)).find(wish.volume).size


def _volume_change(wish: Wish, size: int, *, larger: bool) -> Callable[[Group], Group]:
    if larger:
        return lambda group: mutators.extend(group, wish.volume, size=size, policy=wish.policy, devices=wish.devices)
    return lambda group: mutators.reduce(group, wish.volume, size=size, lose_data=True)


def _act_all(
    live: LiveGroup,
    wish: Wish,
    systems: FileSystems,
    content: Content,
    path: str,
    steps: Sequence[Step],
    size: int,
) -> None:
    """:raises DrystoneError: of a step; of a later one than the first with the size that was wanted."""
    for number, step in enumerate(steps):
        try:
            _act(live, wish, systems, content, path, step)
        except DrystoneError as error:
            if number:
                error.facts["size"] = size
                error.hint = f"{error.hint}; " * bool(error.hint) + f"--size {size} goes on from there"
            raise


def _act(live: LiveGroup, wish: Wish, systems: FileSystems, content: Content, path: str, step: Step) -> None:
    match step.act:
        case "extend-volume" | "reduce-volume":
            change = _volume_change(wish, step.size, larger=step.act == "extend-volume")
            live.update(change, ("resize", wish.volume, str(step.size)))
        case "check-file-system":
            systems.check(content.kind, path)
        case "grow-file-system":
            systems.grow(content.kind, path, content.mounted)
        case "shrink-file-system":
            systems.shrink(content.kind, path, step.size)
