"""What is read of regions that agree: data, history, status. One half of `replicate`, whose words hold here too."""

from __future__ import annotations

from collections.abc import Sequence

from drystone.base.errors import DrystoneError, NotFoundError
from drystone.dvm.replication.documents import Committed, Status, Transaction
from drystone.dvm.replication.regions import RegionDevice
from drystone.dvm.replication.status import describe_all, to_transaction
from drystone.dvm.replication.views import CLEAN, EVERYTHING, Checks, View, look_all, pages_of
from drystone.formats.region.pages import Version
from drystone.formats.region.slots import Slot
from drystone.formats.region.trees import read_data, read_root


def read(devices: Sequence[RegionDevice], version: int | None = None, *, checks: Checks = EVERYTHING) -> Committed:
    """The committed data, or those of an older version that is kept.

    They come from the first region that has them whole; the transaction's hash says that they are right.

    :param version: sequence number of the transaction.
    :raises NotFoundError: that version is not kept. :raises DamagedError: no region has its data.
    """
    views = require_views(devices, CLEAN, checks)
    problem: DrystoneError | None = None
    for view in views:
        try:
            found = _find_version(read_versions(view, checks), version)
            if found is not None:
                return Committed(to_transaction(found.change), read_data(pages_of(view, checks), found))
        except DrystoneError as error:
            problem = problem or error
    raise problem or NotFoundError(f"version {version} is not kept", hint="dvm replicate history lists what is")


def history(devices: Sequence[RegionDevice], *, checks: Checks = EVERYTHING) -> tuple[Transaction, ...]:
    """The transactions whose data can be read, newest first: those of the region that keeps most."""
    lines = [read_versions(view, checks) for view in require_views(devices, CLEAN, checks)]
    return tuple(to_transaction(version.change) for version in max(lines, key=len))


def status(devices: Sequence[RegionDevice], *, checks: Checks = EVERYTHING, closely: bool = True) -> Status:
    """What every region holds, and whether they agree. All that a reader of the committed data needs is read.

    :param closely: the tables of older versions, too; else whoever needs them finds out what is wrong with them.
    """
    return describe_all(devices, checks, closely=closely)


def require_views(devices: Sequence[RegionDevice], rules: Sequence[str], checks: Checks) -> tuple[View, ...]:
    """Look at the regions, and hold them to rules.

    :raises DrystoneError: the first rule that is broken. :raises UsageError: no region at all.
    """
    views = look_all(devices, checks)
    checks.require(views, rules)
    return tuple(view for view in views if view.slot is not None)


def read_versions(view: View, checks: Checks) -> tuple[Version, ...]:
    """The versions of a region, newest first."""
    return read_root(pages_of(view, checks), slot_of(view).committed)


def _find_version(versions: Sequence[Version], sequence: int | None) -> Version | None:
    if sequence is None:
        return versions[0]
    return next((version for version in versions if version.change.sequence == sequence), None)


def slot_of(view: View) -> Slot:
    """The current slot of a region that has one."""
    assert view.slot is not None
    return view.slot
