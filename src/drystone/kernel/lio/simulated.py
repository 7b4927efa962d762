"""LIO without a kernel, for plans and tests: the code of `configfs.py` over a configfs that is simulated here.

The tree refuses what the kernel refuses, errno for errno, as far as this room asks for it: what may be made where, a
device that is held, a folder that holds something or that a link leads to. It passes the same conformance check.
Nothing takes time: a removal never waits, and a session ends with what it hung on.
"""

from __future__ import annotations

import errno
from collections.abc import Mapping
from dataclasses import dataclass, field

from drystone.base.errors import KernelError, NotFoundError, TimedOutError
from drystone.kernel.dm.number import DeviceNumber
from drystone.kernel.iscsi.names import Chap, Portal
from drystone.kernel.iscsi.simulated import Door, Offer, Refusal
from drystone.kernel.lio.configfs import ConfigfsLio
from drystone.kernel.lio.observation import group_place
from drystone.kernel.lio.tree import Place, check_place, check_still, leaving_in

_ANY = "*"
_STORE: Place = ("core", _ANY, _ANY)
_GROUP: Place = ("iscsi", _ANY, _ANY)
_ACL: Place = (*_GROUP, "acls", _ANY)
_KINDS: dict[Place, tuple[tuple[Place, ...], dict[Place, str]]] = {
    ("core", _ANY): ((), {}),
    _STORE: ((("wwn",),), {("control",): "", ("enable",): "0", ("info",): "", ("wwn", "vpd_unit_serial"): ""}),
    ("iscsi",): ((("discovery_auth",),), {}),
    ("iscsi", _ANY): ((), {}),
    _GROUP: (
        (("acls",), ("attrib",), ("lun",), ("np",), ("param",)),
        {
            ("enable",): "0",
            ("attrib", "authentication"): "1",
            ("attrib", "generate_node_acls"): "0",
            ("param", "AuthMethod"): "CHAP",
        },
    ),
    (*_GROUP, "lun", _ANY): ((), {}),
    (*_GROUP, "np", _ANY): ((), {}),
    _ACL: ((("auth",),), {("auth", "userid"): "", ("auth", "password"): "", ("info",): "No active iSCSI Session"}),
    (*_ACL, _ANY): ((), {("write_protect",): "0"}),
}
"""What mkdir may make, by place: the folders and the files that come with it."""
_BEGINNINGS = {("core", _ANY): "iblock_", _GROUP: "tpgt_", (*_GROUP, "lun", _ANY): "lun_", (*_ACL, _ANY): "lun_"}
"""How the last name of such a place begins."""
_LINKS: dict[Place, Place] = {(*_GROUP, "lun", _ANY): _STORE, (*_ACL, _ANY): (*_GROUP, "lun", _ANY)}
"""In which folders there may be a link, and where it may lead."""


@dataclass(frozen=True, slots=True)
class SimulatedDevice:
    """A block device below a simulated LIO: its number, and its size in bytes."""

    number: DeviceNumber
    size: int


@dataclass(slots=True)
class _Folder:
    """`made`: by mkdir; the others come and go with what they are in."""

    made: bool
    files: dict[str, str] = field(default_factory=dict)
    link: tuple[str, Place] | None = None


class SimulatedTree:
    """A Tree without a kernel.

    :param devices: the block devices that there are, by path. :ivar held: numbers of those that something else holds.
    :ivar sessions: (target, initiator) of those that are logged in; they end with the ACL, and when the target is
        disabled. :ivar stalled: (target, initiator) of those whose ACL is not removed in any time: a login of theirs
        has come to a standstill.
    """

    def __init__(self, devices: Mapping[str, SimulatedDevice]) -> None:
        self.devices = dict(devices)
        self.held: set[DeviceNumber] = set()
        self.sessions: set[tuple[str, str]] = set()
        self.stalled: set[tuple[str, str]] = set()
        self._removals: set[Place] = set()
        self._folders: dict[Place, _Folder] = {("core",): _Folder(made=False), ("core", "alua"): _Folder(made=False)}

    def prepare(self) -> None:
        """It is always there."""

    def exists(self, place: Place) -> bool:
        if leaving_in(check_place(place), self._leaving()) == []:
            return place in self._leaving()
        return place in self._folders or self._file(place) is not None

    def folders(self, place: Place) -> list[str]:
        leaving = leaving_in(check_place(place), self._leaving())
        if leaving is not None:
            return leaving
        return sorted(each[-1] for each in self._folders if each[:-1] == place)

    def links(self, place: Place) -> dict[str, Place]:
        if leaving_in(check_place(place), self._leaving()) is not None:
            return {}
        folder = self._folders.get(place)
        return dict([folder.link]) if folder and folder.link else {}

    def read(self, place: Place) -> str:
        if leaving_in(check_place(place), self._leaving()) is not None:
            return ""
        if _shape(place[:-1]) == _ACL and place[-1] == "info" and (place[1], place[4]) in self.sessions:
            return "LIO Session ID: 1"
        return self._file(place) or ""

    def write(self, place: Place, text: str) -> None:
        check_still(check_place(place), self._leaving())
        before = self._file(place)
        if before is None:
            raise _refused("write", place, errno.ENOENT)
        if place[-1] == "enable":
            self._enable(place[:-1], before, text)
        if place[-1] == "vpd_unit_serial":
            text = f"T10 VPD Unit Serial Number: {text}"
        self._folders[place[:-1]].files[place[-1]] = text

    def make(self, place: Place) -> bool:
        check_still(check_place(place), self._leaving())
        if place in self._folders:
            return False
        if place[:-1] and place[:-1] not in self._folders:
            raise _refused("mkdir", place, errno.ENOENT)
        shape = _shape(place)
        if shape not in _KINDS or not place[-1].startswith(_BEGINNINGS.get(shape, "")):
            raise _refused("mkdir", place, errno.EINVAL)
        inner, files = _KINDS[shape]
        self._folders[place] = _Folder(made=True)
        for each in inner:
            self._folders[place + each] = _Folder(made=False)
        for path, text in files.items():
            self._folders[place + path[:-1]].files[path[-1]] = text
        return True

    def remove(self, place: Place) -> bool:
        check_still(check_place(place), self._leaving())
        folder = self._folders.get(place)
        if folder is None:
            return False
        if not folder.made:
            raise _refused("rmdir", place, errno.EPERM)
        if any(each.link and each.link[1] == place for each in self._folders.values()):
            raise _refused("rmdir", place, errno.EBUSY)
        inside = {each: found for each, found in self._folders.items() if each[: len(place)] == place}
        if any(found.link or (found.made and each != place) for each, found in inside.items()):
            raise _refused("rmdir", place, errno.ENOTEMPTY)
        for each in inside:
            del self._folders[each]
        if _shape(place) == _ACL:
            self.sessions.discard((place[1], place[4]))
        return True

    def remove_within(self, place: Place, inner: str, seconds: float) -> bool:
        if check_place(place) not in self._removals:
            for name in self.folders(place):
                if name.startswith(inner):
                    for link in self.links((*place, name)):
                        self.unlink((*place, name, link))
                    self.remove((*place, name))
        if _shape(place) == _ACL and (place[1], place[4]) in self.stalled:
            self.sessions.discard((place[1], place[4]))
            self._removals.add(place)
            raise TimedOutError(f"the kernel has not removed {'/'.join(place)} within {seconds:g} s")
        self._removals.discard(place)
        return self.remove(place)

    def link(self, place: Place, target: Place) -> None:
        check_still(check_place(place), self._leaving())
        folder = self._folders.get(place[:-1])
        if folder is None or check_place(target) not in self._folders:
            raise _refused("symlink", place, errno.ENOENT)
        if _LINKS.get(_shape(place[:-1])) != _shape(target):
            raise _refused("symlink", place, errno.EPERM)
        if folder.link:
            raise _refused("symlink", place, errno.EEXIST)
        if _shape(target) == _STORE and self._file((*target, "enable")) != "1":
            raise _refused("symlink", place, errno.ENODEV)
        folder.link = (place[-1], target)

    def unlink(self, place: Place) -> None:
        check_still(check_place(place), self._leaving())
        folder = self._folders.get(place[:-1])
        if folder and folder.link and folder.link[0] == place[-1]:
            folder.link = None

    def _leaving(self) -> list[Place]:
        return [place for place in self._removals if (place[1], place[4]) in self.stalled]

    def _file(self, place: Place) -> str | None:
        folder = self._folders.get(place[:-1])
        return folder.files.get(place[-1]) if folder else None

    def _enable(self, place: Place, before: str, text: str) -> None:
        """What the kernel does when `enable` is written: hold the device, or take logins, or end them."""
        if _shape(place) == _GROUP:
            if text == before:
                raise _refused("write", place, errno.EINVAL)
            if text == "0":
                self.sessions = {each for each in self.sessions if each[0] != place[1]}
            return
        if before == "1":
            raise _refused("write", place, errno.EEXIST)
        files = self._folders[place].files
        device = self.devices.get(files["control"].removeprefix("udev_path="))
        if device is None:
            raise _refused("write", place, errno.ENOENT)
        numbers = f"Major: {device.number.major} Minor: {device.number.minor}"
        if device.number in self.held or any(
            numbers in each.files.get("info", "") for each in self._folders.values() if each.files.get("enable") == "1"
        ):
            raise _refused("write", place, errno.EBUSY)
        files["info"] = f"Status: DEACTIVATED\n        {numbers}  CLAIMED: IBLOCK"


class SimulatedLio(ConfigfsLio, Door):
    """Lio without a kernel; also what simulated initiators log in to.

    :param devices: the block devices that there are, by path.
    """

    def __init__(self, devices: Mapping[str, SimulatedDevice]) -> None:
        self.tree = SimulatedTree(devices)
        super().__init__(self.tree, find_number=self._number)

    def _number(self, path: str) -> DeviceNumber:
        if path not in self.tree.devices:
            raise NotFoundError(f"there is no {path}")
        return self.tree.devices[path].number

    def log_in(self, initiator: str, target: str, portal: Portal, chap: Chap | None) -> Mapping[int, Offer]:
        group = group_place(target)
        acl = (*group, "acls", initiator)
        if not self.tree.exists((*group, "np", str(portal))) or self.tree.read((*group, "enable")) != "1":
            raise Refusal(Refusal.UNREACHABLE)
        known = (self.tree.read((*acl, "auth", "userid")), self.tree.read((*acl, "auth", "password")))
        if not self.tree.exists(acl) or chap is None or (chap.user, chap.secret) != known:
            raise Refusal(Refusal.NOT_AUTHORIZED)
        self.tree.sessions.add((target, initiator))
        return self._offers(target, initiator)

    def serves(self, initiator: str, target: str) -> bool:
        return (target, initiator) in self.tree.sessions

    def log_out(self, initiator: str, target: str) -> None:
        self.tree.sessions.discard((target, initiator))

    def _offers(self, target: str, initiator: str) -> dict[int, Offer]:
        (described,) = [each for each in self.targets() if each.iqn == target]
        (acl,) = [each for each in described.acls if each.initiator == initiator]
        stores = {(each.hba, each.name): each for each in self.backstores()}
        sizes = {each.number: each.size for each in self.tree.devices.values()}
        luns = {each.number: stores[each.hba, each.backstore] for each in described.luns if each.backstore}
        return {
            seen: Offer(luns[lun].serial, sizes[number])
            for seen, lun in acl.luns
            if lun in luns and (number := luns[lun].number) is not None
        }


def _shape(place: Place) -> Place:
    """The place with _ANY for names that are given, as _KINDS is written."""
    shape: Place = ()
    for part in place:
        known = (*shape, part)
        shape = known if any(each[: len(known)] == known for each in _KINDS) else (*shape, _ANY)
    return shape


def _refused(operation: str, place: Place, number: int) -> KernelError:
    return KernelError(f"configfs {operation}", number, device="/".join(place))
