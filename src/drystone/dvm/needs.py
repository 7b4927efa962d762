"""What a program expects of the devices that it finds: that they are there, are the same, and have the same tables.

A program carries the old tables, to bring them back when it fails. Run later than it was meant to be, it would bring
back a table that points to somebody else's sectors by now.
"""

from __future__ import annotations

import errno
from collections.abc import Mapping

from drystone.base.errors import KernelError, MismatchError, NotFoundError
from drystone.dvm.instructions import Create, Load, Remove, Rename
from drystone.dvm.program import Program
from drystone.dvm.references import names_in, with_names_replaced, with_paths_replaced
from drystone.dvm.state import Line, with_pools
from drystone.dvm.tables import same_table
from drystone.kernel.dm.abc import DeviceMapper, DeviceNumber

_AGAIN = "the state has changed since the program was made: make it again"


def find_devices(program: Program, dm: DeviceMapper) -> dict[str, DeviceNumber]:
    """The devices that the program needs, by name.

    :raises NotFoundError: one is not there. :raises MismatchError: one has another uuid.
    """
    numbers: dict[str, DeviceNumber] = {}
    dm.version()  # opens it, so that no instruction has to
    for needed in program.devices:
        try:
            info = dm.info(needed.name)
        except KernelError as error:
            if error.errno != errno.ENXIO:
                raise
            raise NotFoundError(
                f"the program needs the device {needed.name!r}, which is not there", hint=_AGAIN, device=needed.name
            ) from error
        if needed.uuid and info.uuid != needed.uuid:
            raise MismatchError(
                f"{needed.name!r} has the uuid {info.uuid!r}, the program was made for {needed.uuid!r}",
                hint=_AGAIN,
                device=needed.name,
            )
        numbers[needed.name] = info.number
    return numbers


def check_tables(
    program: Program, dm: DeviceMapper, numbers: Mapping[str, DeviceNumber], paths: Mapping[str, str]
) -> None:
    """Compare the tables that undoing would bring back with the live ones. What cannot be told apart is let pass.

    :param numbers: of `find_devices`. :param paths: major:minor of the paths in tables.
    :raises MismatchError: a device has another table by now.
    """
    meanings = _meanings(program, numbers)
    changed = {
        each.device for each in program.instructions if isinstance(each, Load | Remove) and not each.insist
    } & meanings.keys()
    old: dict[DeviceNumber, list[tuple[Line, ...] | None]] = {}
    for each in program.instructions:
        if isinstance(each, Load) and each.insist and each.device in changed:
            number = meanings[each.device]
            if number is not None:
                old.setdefault(number, []).append(_resolve(each.table, meanings, paths))
    for name, number in numbers.items():
        tables = old.get(number, [None])
        if None in tables:
            continue
        live = tuple(
            Line(line.start, line.length, line.target, line.params) for line in with_pools(dm, number, dm.table(number))
        )
        if not any(same_table(table, live) for table in tables if table is not None):
            raise MismatchError(
                f"{name!r} has another table than the program would bring back when it fails",
                hint=_AGAIN,
                device=name,
            )


def _meanings(program: Program, numbers: Mapping[str, DeviceNumber]) -> dict[str, DeviceNumber | None]:
    """Every name that a needed device has in the course of the program; None for a name of several devices."""
    found: dict[str, DeviceNumber | None] = dict(numbers)
    for each in program.instructions:
        if isinstance(each, Rename) and not each.insist and each.device in found:
            meant = found[each.device]
            found[each.to] = meant if found.get(each.to, meant) == meant else None
        elif isinstance(each, Create) and not each.insist and each.device in found:
            found[each.device] = None
    return found


def _resolve(
    table: tuple[Line, ...], meanings: Mapping[str, DeviceNumber | None], paths: Mapping[str, str]
) -> tuple[Line, ...] | None:
    """The table with numbers in place of names and paths; None when a name has no single meaning."""
    if any(meanings.get(name) is None for line in table for name in names_in(line.params)):
        return None
    return tuple(
        Line(
            line.start,
            line.length,
            line.target,
            with_names_replaced(with_paths_replaced(line.params, paths.__getitem__), lambda name: str(meanings[name])),
        )
        for line in table
    )
