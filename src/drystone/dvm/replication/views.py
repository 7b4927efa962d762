"""What each region holds, as values; and the rules by which regions agree.

The checks are values too (`Checks`), so that a test can leave one out and see that it was needed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any
from uuid import UUID

from msgspec import Struct, field

from drystone.base.errors import BusyError, DamagedError, DrystoneError, MismatchError, NotFoundError, UsageError
from drystone.dvm.replication.regions import RegionDevice
from drystone.dvm.replication.together import gather
from drystone.formats.region.pages import PAGE_CHECKS, Entry, PageCheck, Pages, Version
from drystone.formats.region.slots import (
    SLOT_CHECKS,
    PageZero,
    Root,
    Slot,
    SlotCheck,
    parse_page_zero,
    require_pages,
)


class View(Struct, frozen=True):
    """One region as it was found.

    :ivar zero: page 0; None when it cannot be read, or is not formatted.
    :ivar error: why it cannot be read, or is damaged beyond its slots.
    :ivar known: tables and roots of it that were read and found right, by their entries: read once a look.
    """

    device: RegionDevice
    zero: PageZero | None = None
    error: DrystoneError | None = None
    known: dict[object, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """For messages."""
        return self.device.name

    @property
    def slot(self) -> Slot | None:
        """The current slot, if there is one."""
        return self.zero.current if self.zero else None


Rule = Callable[[Sequence[View]], None]


def _require_readable(views: Sequence[View]) -> None:
    for view in views:
        if view.error is not None:
            raise view.error


def _require_formatted(views: Sequence[View]) -> None:
    for view in views:
        if view.error is None and view.zero is None:
            raise NotFoundError(
                f"{view.name} is not formatted", hint="leave it out, or: dvm replicate format", device=view.name
            )


def _require_whole(views: Sequence[View]) -> None:
    for view in views:
        if view.zero is not None and view.zero.problem:
            hint = "dvm replicate recover mends it" if view.slot else "leave it out, then format it from the others"
            raise DamagedError(f"{view.name}: {view.zero.problem}", hint=hint, device=view.name)


def _require_current(views: Sequence[View]) -> None:
    for view in views:
        if view.zero is not None and view.zero.problem and view.slot is None:
            raise DamagedError(
                f"{view.name}: {view.zero.problem}",
                hint="leave it out, then format it from the others",
                device=view.name,
            )


def _require_distinct(views: Sequence[View]) -> None:
    seen: dict[UUID, str] = {}
    for view in views:
        if view.slot is None:
            continue
        if view.slot.region in seen:
            raise MismatchError(
                f"{seen[view.slot.region]} and {view.name} are one region, or one is a copy of the other",
                hint="name each region once, and no copies",
            )
        seen[view.slot.region] = view.name


def _require_agreed(views: Sequence[View]) -> None:
    slots = [(view, view.slot) for view in views if view.slot is not None]
    first_view, first = slots[0]
    for view, slot in slots:
        if slot.group != first.group:
            raise MismatchError(
                f"the regions are of two groups: {first_view.name} of {first.group}, {view.name} of {slot.group}",
                hint="name the regions of one group",
            )
        if _standing(slot) != _standing(first):
            raise MismatchError(
                f"the regions are out of step: {first_view.name} is {tell(first)}, {view.name} is {tell(slot)}",
                hint="dvm replicate status shows all of them, recover brings them together",
            )


def _require_clean(views: Sequence[View]) -> None:
    for view in views:
        if view.slot is not None and view.slot.next is not None:
            raise BusyError(
                f"the regions are {tell(view.slot)}",
                hint="an update is under way, or was cut short: commit it, abort it, or recover",
            )


def _require_prepared(views: Sequence[View]) -> None:
    for view in views:
        if view.slot is not None and view.slot.next is None:
            raise MismatchError(f"nothing is prepared: the regions are {tell(view.slot)}", hint="prepare comes first")


RULES: Mapping[str, Rule] = MappingProxyType(
    {
        "readable": _require_readable,
        "formatted": _require_formatted,
        "current": _require_current,
        "whole": _require_whole,
        "distinct": _require_distinct,
        "agreed": _require_agreed,
        "clean": _require_clean,
        "prepared": _require_prepared,
    }
)
"""What is asked of regions, by name, in this order."""

USABLE = ("readable", "formatted", "current", "distinct")
AGREED = ("readable", "formatted", "whole", "distinct", "agreed")
CLEAN = (*AGREED, "clean")
PREPARED = (*AGREED, "prepared")


Protection = Callable[[PageZero], Root | None]
PROTECTED: Mapping[str, Protection] = MappingProxyType(
    {
        "committed": lambda zero: zero.current.committed if zero.current else None,
        "next": lambda zero: zero.current.next if zero.current else None,
    }
)
"""The roots from which no page that is reached is ever written, by name."""

STEPS = frozenset({"parent", "shared", "next", "fork", "rolled-back", "read-back", "cached"})
"""The other checks: the base of a transaction is the committed one · pages that are shared are right · what is to be
committed is all there · the two of recovery · a new region is where it was written · what a page
cache shows of page 0 is written once more."""


class Checks(Struct, frozen=True):
    """All that is checked. The default is everything; only a test that shows what a check is for leaves one out."""

    slots: Mapping[str, SlotCheck] = field(default_factory=lambda: SLOT_CHECKS)
    pages: Mapping[str, PageCheck] = field(default_factory=lambda: PAGE_CHECKS)
    rules: Mapping[str, Rule] = field(default_factory=lambda: RULES)
    protected: Mapping[str, Protection] = field(default_factory=lambda: PROTECTED)
    steps: frozenset[str] = STEPS

    def require(self, views: Sequence[View], names: Sequence[str]) -> None:
        """Hold regions to these rules.

        :raises DrystoneError: the first one that is broken; nothing was changed.
        """
        for name in names:
            if name in self.rules:
                self.rules[name](views)


EVERYTHING = Checks()


def look(device: RegionDevice, checks: Checks = EVERYTHING) -> View:
    """What a region holds, by its page 0."""
    try:
        zero = parse_page_zero(device.read(0, 1), checks.slots)
        if zero is not None and zero.current is not None:
            require_pages(zero.current, device.pages, device.name)
    except DrystoneError as error:
        return View(device, error=error)
    return View(device, zero)


def require_some(devices: Sequence[RegionDevice]) -> None:
    """:raises UsageError: there is no region."""
    if not devices:
        raise UsageError("there is no region", hint="name one at least")


def look_all(devices: Sequence[RegionDevice], checks: Checks = EVERYTHING) -> tuple[View, ...]:
    """What the regions hold.

    :raises UsageError: there is none.
    """
    require_some(devices)
    return tuple(gather(devices, lambda number: look(devices[number], checks), is_one_page=True))


def pages_of(view: View, checks: Checks = EVERYTHING) -> Pages:
    """The pages of a region that has a current slot."""
    assert view.slot is not None
    return _OncePages(view.device, view.slot.group, checks.pages, view.known)


class _OncePages(Pages):
    """Pages whose tables and roots are read, checked and taken apart once. Data are read whenever they are asked for.

    :param known: what was read before.
    """

    def __init__(
        self, reader: RegionDevice, group: UUID, checks: Mapping[str, PageCheck], known: dict[object, Any]
    ) -> None:
        super().__init__(reader, group, checks)
        self._known = known

    def read_table(self, entry: Entry, count: int) -> tuple[Entry, ...]:
        key = (entry, count)
        if key not in self._known:
            self._known[key] = super().read_table(entry, count)
        found: tuple[Entry, ...] = self._known[key]
        return found

    def read_versions(self, entry: Entry) -> tuple[Version, ...]:
        if entry not in self._known:
            self._known[entry] = super().read_versions(entry)
        found: tuple[Version, ...] = self._known[entry]
        return found


def tell(slot: Slot) -> str:
    """A slot in words."""
    at = f"at transaction {slot.committed.sequence} ({slot.committed.hash.hex()[:8]})"
    if slot.next is None:
        return at
    return f"{at}, prepared for {slot.next.sequence} ({slot.next.hash.hex()[:8]})"


def _standing(slot: Slot) -> tuple[bytes, bytes | None]:
    return slot.committed.hash, slot.next.hash if slot.next else None
