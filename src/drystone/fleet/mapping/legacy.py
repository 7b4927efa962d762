"""The documents of Disk Mapper's own API, as its mapping server gives them. Pure.

A primary and a secondary are the slots; which of the two leads shows in where requests are sent.
"""

from __future__ import annotations

import urllib.parse

from drystone.fleet.documents import Member, Placement, Slot
from drystone.fleet.mapping.view import SERVING, DiskState, View

SLOTS: tuple[Slot, ...] = ("primary", "secondary")


def address(view: View, server: str) -> str:
    """How a storage server is named there: HOST:PORT of its URL, or HOST for the usual port."""
    record = view.model.servers.get(server)
    netloc = urllib.parse.urlsplit(record.url).netloc if record is not None else ""
    return netloc.removesuffix(":80") or server


def slot_of(view: View, placement: Placement, slot: Slot) -> Member | None:
    """The copy in a slot; the best one, while several are there."""
    found = [each for each in placement.members if each.slot == slot]
    return min(found, key=lambda each: (view.state(each) not in SERVING, each.state != "in_sync"), default=None)


def status_of(view: View, member: Member) -> str:
    """`good`, `copying` or `bad`."""
    if view.state(member) not in {*SERVING, DiskState.UNKNOWN}:
        return "bad"
    return "good" if member.state == "in_sync" else "copying"


def all_config(view: View) -> dict[str, dict[str, dict[str, str]]]:
    """get_all_config: host to its slots. A copy that was given up and not yet made anew is shown as bad."""
    return {placement.folder: _slots(view, placement) for placement in _ordered(view)}


def _slots(view: View, placement: Placement) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for slot in SLOTS:
        member = slot_of(view, placement, slot)
        if member is not None:
            found[slot] = _describe(view, member.server, member.disk, status_of(view, member))
            continue
        records = [view.model.disks.get(each.disk_id) for each in view.given_up(placement)]
        known = next((each for each in records if each is not None), None)
        if known is not None:
            found[slot] = _describe(view, known.server, known.name, "bad")
    return found


def _describe(view: View, server: str, disk: str, status: str) -> dict[str, str]:
    return {"disk": disk, "status": status, "storage_server": address(view, server)}


def host_config(view: View) -> dict[str, dict[str, str]]:
    """get_host_config: host to where its requests go."""
    found: dict[str, dict[str, str]] = {}
    for placement in _ordered(view):
        member = serving_member(view, placement) or placement.member(placement.leader)
        if member is not None:
            found[placement.folder] = {"storage_server": address(view, member.server), "disk": member.disk}
    return found


def vb_mapping(view: View) -> dict[str, dict[str, str]]:
    """get_vb_mapping: vbucket to where its primary is."""
    found: dict[str, dict[str, str]] = {}
    for placement in _ordered(view):
        member = slot_of(view, placement, "primary") or placement.member(placement.leader)
        for number in view.model.groups.get((placement.namespace, placement.host), ()):
            if member is not None:
                found[f"vb_{number}"] = {
                    "storage_server": address(view, member.server),
                    "disk": member.disk,
                    "vb_group": placement.host,
                    "type": member.slot,
                }
    return dict(sorted(found.items(), key=lambda item: int(item[0].removeprefix("vb_"))))


def ss_mapping(view: View) -> dict[str, dict[str, dict[str, str]]]:
    """get_ss_mapping: storage server to the vbuckets that it has copies of."""
    found: dict[str, dict[str, dict[str, str]]] = {address(view, server): {} for server in sorted(view.model.servers)}
    for placement in _ordered(view):
        for number in view.model.groups.get((placement.namespace, placement.host), ()):
            for member in placement.members:
                found.setdefault(address(view, member.server), {})[f"vb_{number}"] = {
                    "path_name": placement.folder,
                    "disk": member.disk,
                    "vb_group": placement.host,
                    "type": member.slot,
                }
    return found


def serving_member(view: View, placement: Placement) -> Member | None:
    """The copy that requests are sent to: the leader's, else one that is in sync; None when none serves."""
    found = [each for each in placement.members if view.state(each) in {*SERVING, DiskState.UNKNOWN}]
    leading = [each for each in found if each.server == placement.leader]
    return next(iter([*leading, *(each for each in found if each.state == "in_sync")]), None)


def _ordered(view: View) -> list[Placement]:
    return sorted(view.model.placements.values(), key=lambda each: each.folder)
