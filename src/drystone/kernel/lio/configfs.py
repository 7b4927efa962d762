"""LIO by writing configfs: the Protocol of `abc.py` over a Tree, the kernel's own unless another is handed in.

Source: Linux `drivers/target/target_core_configfs.c`, `target_core_fabric_configfs.c`, `target_core_iblock.c`,
`drivers/target/iscsi/iscsi_target_configfs.c`. Every call is a few steps, in an order in which what a crash leaves is
closed rather than open: a disk has its serial before it is held, a target its locks before it listens, an initiator its
secret before it sees a LUN. So the next call goes on where the last one stopped.

Backstores of ours are in one folder of our own, `iblock_740`, which stays; what is elsewhere is shown and left alone.
"""

from __future__ import annotations

import contextlib
import errno
import re
import uuid
from collections.abc import Callable, Iterator, Sequence

from drystone.base.errors import BusyError, KernelError, MismatchError, NotFoundError, UsageError
from drystone.base.names import check_name
from drystone.kernel.dm.number import DeviceNumber
from drystone.kernel.iscsi.names import Chap, Portal, check_iqn
from drystone.kernel.lio.abc import FENCE_TIMEOUT, MOST_LUNS, Backstore, Target
from drystone.kernel.lio.observation import (
    LOCKS,
    group_place,
    read_backstore,
    read_backstores,
    read_target,
    read_targets,
)
from drystone.kernel.lio.tree import FolderTree, Place, Tree

HBA = "iblock_740"
"""Other programs count up from 0 and take the first number that is free."""
_LINK = "drystone"
"""What a link of ours is called; the name means nothing to LIO."""
_LUN = "lun_"
_DEVICE = re.compile(r"/dev/[!-+\--~]+")
"""A path of printable ASCII without blanks and commas, at which LIO would cut it."""
_LONGEST_DEVICE = 500


def _find_number(path: str) -> DeviceNumber:
    from drystone.kernel.blockdev import device_number

    return device_number(path)


class ConfigfsLio:
    """Lio by configfs. The constructor has no effects; modules are loaded at the first call that makes something.

    :param tree: where to write. :param find_number: the number of the block device at a path; NotFoundError: none.
    """

    def __init__(self, tree: Tree | None = None, *, find_number: Callable[[str], DeviceNumber] = _find_number) -> None:
        self._tree: Tree = tree or FolderTree()
        self._find_number = find_number

    def backstores(self) -> list[Backstore]:
        return read_backstores(self._tree)

    def targets(self) -> list[Target]:
        return read_targets(self._tree)

    def create_backstore(self, name: str, device: str, serial: str) -> Backstore:
        check_name(name, "backstore")
        _check_device(device)
        _check_serial(serial)
        number = self._find_number(device)
        self._tree.prepare()
        self._tree.make(("core", HBA))
        place = ("core", HBA, name)
        fresh = self._tree.make(place)
        with self._unmade(place if fresh else None):
            if self._tree.read((*place, "enable")) != "1":
                self._tree.write((*place, "wwn", "vpd_unit_serial"), serial)
                self._tree.write((*place, "control"), f"udev_path={device}")
                self._enable_backstore(place, device)
            found = read_backstore(self._tree, HBA, name)
            if (found.number, found.serial) != (number, serial):
                raise MismatchError(
                    f"the backstore {name} holds {found.number} with the serial {found.serial or '(none)'}, "
                    f"not {number} with {serial}"
                )
        return found

    def remove_backstore(self, name: str) -> None:
        check_name(name, "backstore")
        self._remove(("core", HBA, name), f"the backstore {name} is offered by a LUN")

    def create_target(self, iqn: str) -> Target:
        group = group_place(check_iqn(iqn, "target"))
        self._tree.prepare()
        for depth in range(1, len(group) + 1):
            self._tree.make(group[:depth])
        for place, text in LOCKS.items():
            if self._tree.read((*group, *place)) != text:
                self._tree.write((*group, *place), text)
        return read_target(self._tree, iqn)

    def enable_target(self, iqn: str, *, enabled: bool = True) -> None:
        place, text = (*self._find_group(iqn), "enable"), str(int(enabled))
        if self._tree.read(place) != text:
            self._tree.write(place, text)

    def remove_target(self, iqn: str) -> None:
        group = group_place(check_iqn(iqn, "target"))
        for kind, what in (("acls", "ACL"), ("lun", "LUN")):
            if inside := self._tree.folders((*group, kind)):
                raise BusyError(f"the target {iqn} has the {what} {inside[0]}", hint="revoke, then remove its LUNs")
        if others := read_target(self._tree, iqn).other_groups:
            raise BusyError(f"the target {iqn} has the portal group {others[0]}, which is not ours")
        for portal in self._tree.folders((*group, "np")):
            self._tree.remove((*group, "np", portal))
        self._remove(group, f"the target {iqn} has got a LUN or an ACL meanwhile")
        self._remove(group[:-1], f"the target {iqn} is in use")

    def add_portal(self, iqn: str, portal: Portal) -> None:
        self._tree.make((*self._find_group(iqn), "np", str(portal)))

    def remove_portal(self, iqn: str, portal: Portal) -> None:
        self._tree.remove((*group_place(check_iqn(iqn, "target")), "np", str(portal)))

    def add_lun(self, iqn: str, lun: int, backstore: str) -> None:
        wanted = ("core", HBA, check_name(backstore, "backstore"))
        place = (*self._find_group(iqn), "lun", _lun(lun))
        if not self._tree.exists(wanted):
            raise NotFoundError(f"there is no backstore {backstore}")
        self._tie(place, wanted, f"LUN {lun} of {iqn}")

    def remove_lun(self, iqn: str, lun: int) -> None:
        place = (*group_place(check_iqn(iqn, "target")), "lun", _lun(lun))
        for acl in read_target(self._tree, iqn).acls:
            if any(of_target == lun for _, of_target in acl.luns):
                raise BusyError(f"LUN {lun} of {iqn} is shown to {acl.initiator}", hint="revoke that first")
        self._untie(place, f"LUN {lun} of {iqn} is shown to somebody by now")

    def grant(self, iqn: str, initiator: str, chap: Chap, luns: Sequence[int]) -> None:
        group = self._find_group(iqn)
        acl = (*group, "acls", check_iqn(initiator, "initiator"))
        for lun in luns:
            if not self._tree.exists((*group, "lun", _lun(lun))):
                raise NotFoundError(f"the target {iqn} has no LUN {lun}")
        self._tree.make(acl)
        # Without a line break at the end, which LIO would take for a part of them.
        self._tree.write((*acl, "auth", "userid"), chap.user)
        self._tree.write((*acl, "auth", "password"), chap.secret)
        for lun in luns:
            self._tie((*acl, _lun(lun)), (*group, "lun", _lun(lun)), f"LUN {lun} of {iqn} for {initiator}")

    def revoke(self, iqn: str, initiator: str, *, timeout: float = FENCE_TIMEOUT) -> None:
        group = group_place(check_iqn(iqn, "target"))
        acl = (*group, "acls", check_iqn(initiator, "initiator"))
        with _told_busy(f"the ACL of {initiator} at {iqn} was changed meanwhile"):
            self._tree.remove_within(acl, _LUN, timeout)

    def _find_group(self, iqn: str) -> Place:
        group = group_place(check_iqn(iqn, "target"))
        if not self._tree.exists(group):
            raise NotFoundError(f"there is no target {iqn}")
        return group

    def _enable_backstore(self, place: Place, device: str) -> None:
        try:
            self._tree.write((*place, "enable"), "1")
        except KernelError as error:
            if error.errno == errno.EBUSY:
                raise BusyError(f"{device} is in use", hint="it is mounted, or part of another device") from error
            raise

    def _tie(self, place: Place, wanted: Place, what: str) -> None:
        """Have the folder `place` with one link, to `wanted`."""
        fresh = self._tree.make(place)
        leads = [*self._tree.links(place).values()]
        if leads == [wanted]:
            return
        if leads:
            raise MismatchError(f"{what} is {'/'.join(leads[0])}, not {'/'.join(wanted)}")
        with self._unmade(place if fresh else None):
            self._tree.link((*place, _LINK), wanted)

    def _untie(self, place: Place, in_use: str) -> None:
        for name in self._tree.links(place):
            self._tree.unlink((*place, name))
        self._remove(place, in_use)

    def _remove(self, place: Place, in_use: str) -> None:
        with _told_busy(in_use):
            self._tree.remove(place)

    @contextlib.contextmanager
    def _unmade(self, place: Place | None) -> Iterator[None]:
        """Remove `place` again when the block fails."""
        try:
            yield
        except BaseException:
            if place is not None:
                with contextlib.suppress(KernelError):
                    self._tree.remove(place)
            raise


@contextlib.contextmanager
def _told_busy(in_use: str) -> Iterator[None]:
    """What configfs says of a folder that is in use, in words."""
    try:
        yield
    except KernelError as error:
        if error.errno in {errno.EBUSY, errno.ENOTEMPTY}:
            raise BusyError(in_use) from error
        raise


def _lun(number: int) -> str:
    """:raises UsageError: it is none."""
    if not 0 <= number < MOST_LUNS:
        raise UsageError(f"a LUN is 0 to {MOST_LUNS - 1}, not {number}")
    return f"{_LUN}{number}"


def _check_device(path: str) -> None:
    if len(path) > _LONGEST_DEVICE or _DEVICE.fullmatch(path) is None or ".." in path.split("/"):
        raise UsageError(f"{path[:80]!r} is no path below /dev", hint="without blanks and commas")


def _check_serial(serial: str) -> None:
    try:
        if str(uuid.UUID(serial)) == serial:
            return
    except ValueError:
        pass
    raise UsageError(f"the serial {serial[:50]!r} is no UUID in its usual spelling")
