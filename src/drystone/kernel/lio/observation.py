"""What configfs says of LIO, as values. What others have made is told as it is, in whatever spelling."""

from __future__ import annotations

import re

from drystone.kernel.dm.number import DeviceNumber
from drystone.kernel.lio.abc import Acl, Backstore, Lun, Target
from drystone.kernel.lio.tree import Place, Tree

GROUP = "tpgt_1"
"""The one portal group of a target."""
LOCKS: dict[Place, str] = {
    ("attrib", "authentication"): "1",
    ("attrib", "generate_node_acls"): "0",
    ("param", "AuthMethod"): "CHAP",
}
"""Settings of a portal group by which only who has an ACL gets in, and only by CHAP."""

_NUMBER = re.compile(r"Major: ([0-9]+) Minor: ([0-9]+)")
_SERIAL = re.compile(r"T10 VPD Unit Serial Number: *(.*)")
_HBA = re.compile(r"[a-z]+_[0-9]+")
_TARGET = re.compile(r"(?:iqn|eui|naa)\..*")
_SESSION = "LIO Session ID:"


def group_place(iqn: str) -> Place:
    """The portal group of a target."""
    return ("iscsi", iqn, GROUP)


def read_backstores(tree: Tree) -> list[Backstore]:
    """All of them, of every kind."""
    return [
        read_backstore(tree, hba, name)
        for hba in tree.folders(("core",))
        if _HBA.fullmatch(hba)
        for name in tree.folders(("core", hba))
    ]


def read_backstore(tree: Tree, hba: str, name: str) -> Backstore:
    """One that is there."""
    place = ("core", hba, name)
    enabled = tree.read((*place, "enable")) == "1"
    number = _NUMBER.search(tree.read((*place, "info"))) if enabled else None
    serial = _SERIAL.search(tree.read((*place, "wwn", "vpd_unit_serial")))
    return Backstore(
        hba,
        name,
        DeviceNumber(int(number[1]), int(number[2])) if number else None,
        serial[1].strip() if serial else "",
        enabled,
    )


def read_targets(tree: Tree) -> list[Target]:
    """All iSCSI targets."""
    return [read_target(tree, name) for name in tree.folders(("iscsi",)) if _TARGET.fullmatch(name)]


def read_target(tree: Tree, iqn: str) -> Target:
    """One; of a target that is not there, or half made, what is not there is told as disabled and empty."""
    group = group_place(iqn)
    groups = [each for each in tree.folders(group[:-1]) if each.startswith("tpgt_")]
    return Target(
        iqn,
        enabled=tree.read((*group, "enable")) == "1",
        chap_only=all(tree.read((*group, *place)) == text for place, text in LOCKS.items()),
        portals=tuple(tree.folders((*group, "np"))),
        luns=tuple(sorted(_read_luns(tree, (*group, "lun")), key=lambda lun: lun.number)),
        acls=tuple(_read_acl(tree, (*group, "acls", name)) for name in tree.folders((*group, "acls"))),
        other_groups=tuple(each for each in groups if each != GROUP),
    )


def _read_luns(tree: Tree, place: Place) -> list[Lun]:
    found = []
    for name in tree.folders(place):
        leads = [*tree.links((*place, name)).values()]
        hba, backstore = leads[0][1:] if leads and len(leads[0]) == 3 else ("", "")
        found.append(Lun(_lun_number(name), hba, backstore))
    return found


def _read_acl(tree: Tree, place: Place) -> Acl:
    luns = []
    for name in tree.folders(place):
        if name.startswith("lun_"):
            luns += [(_lun_number(name), _lun_number(to[-1])) for to in tree.links((*place, name)).values()]
    return Acl(
        place[-1],
        tree.read((*place, "auth", "userid")),
        tuple(sorted(luns)),
        _SESSION in tree.read((*place, "info")),
    )


def _lun_number(name: str) -> int:
    """Of `lun_7`, and of `lun_0x7` and `lun_07`, which the kernel takes too (kstrtoull with base 0)."""
    digits = name.removeprefix("lun_").removeprefix("+").lower()
    if digits.startswith("0x"):
        return int(digits, 16)
    return int(digits, 8 if digits.startswith("0") else 10)
