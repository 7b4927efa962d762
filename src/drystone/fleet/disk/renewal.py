"""A disk whose index is lost begins anew: what lies on it is set aside, and it gets a new identity.

With an empty index and its old identity it would pass for a disk that holds every acknowledged write and has nothing.
Nothing is deleted: people can still read the files, and put them in again where no other copy is left.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

from drystone.base.errors import DamagedError, RefusedError, UnavailableError
from drystone.base.files import sync_folder
from drystone.fleet.disk import places
from drystone.fleet.disk.disk import Disk
from drystone.fleet.disk.identity import Identity, initialize, read_identity

_ASIDE = "given-up-"


@dataclass(frozen=True, slots=True)
class Renewal:
    """What would become of a disk.

    :ivar identity: that it has. :ivar trouble: why it cannot be used. :ivar files: objects' files that lie there, where
        people see them; :ivar size: their bytes. :ivar aside: folder on the disk that all is moved to.
    """

    root: Path
    identity: Identity
    trouble: str
    files: int
    size: int
    aside: Path


def plan_renewal(root: Path) -> Renewal:
    """What `renew` would do. Nothing is changed.

    :raises RefusedError: its index is whole. :raises BusyError: a server uses the disk. :raises UnavailableError: there
        is no disk, or it fails otherwise than by its index. :raises DamagedError: its identity says nothing sensible.
    """
    aside, identity = root / f"{_ASIDE}{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}", _find_identity(root)
    files = size = 0
    for slot in places.SLOTS:
        for folder, _, names in os.walk(root / slot):
            for name in names:
                files, size = files + 1, size + os.lstat(Path(folder, name)).st_size  # many of them
    return Renewal(root, identity, _find_trouble(root, identity), files, size, aside)


def _find_identity(root: Path) -> Identity:
    """The disk's, also where an earlier renewal was broken off after it was set aside."""
    try:
        return read_identity(root)
    except UnavailableError:
        left = sorted(each for each in root.glob(f"{_ASIDE}*") if (each / places.IDENTITY).exists())
        if (root / places.IDENTITY).exists() or not left:
            raise
        return read_identity(left[-1])


def _find_trouble(root: Path, identity: Identity) -> str:
    """Why the disk cannot be opened. :raises RefusedError: it can."""
    if not (root / places.IDENTITY).exists():
        return "it was to begin anew, and that was broken off"
    disk = Disk(root, root.name, reserve=0)
    try:
        disk.open(identity.fleet)
    except DamagedError as error:
        return error.message
    disk.close()
    raise RefusedError(f"the index of {root} is whole", hint="drystone fleet disk bad, or drain, gives a disk up")


def renew(plan: Renewal) -> Identity:
    """Set aside what is there, and make a new disk; its identity. All is durable when it returns; broken off, it can be
    planned and done again.

    :raises RefusedError, BusyError, UnavailableError: as `plan_renewal`: the disk is not as it was when this was
        planned. :raises OSError: the file system refuses.
    """
    root, aside = plan.root, plan.aside
    if _find_identity(root) != plan.identity:
        raise RefusedError(f"{root} is another disk by now", hint="look at what would be done again")
    _find_trouble(root, plan.identity)
    aside.mkdir()
    for name in (*places.SLOTS, places.OWN):  # the identity last: until then it is a disk that can begin anew
        if (root / name).exists():
            (root / name).rename(aside / name)
            sync_folder(aside)
            sync_folder(root)
    return initialize(root, plan.identity.fleet)
