"""All that can be changed from the page."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

from sqlalchemy import Connection, select

from drystone.base.errors import NotFoundError, UsageError
from drystone.base.names import check_name
from drystone.cluster.api import attachments, dlvs, dpvs, ihosts, jobs, marks, snapshots
from drystone.cluster.api.documents import AttachmentWish, Extension, NewDlv, NewSnapshot, Reason
from drystone.cluster.api.page.deed import Deed, Field, Kind, Values, name_of, read_as
from drystone.cluster.api.page.deeds_of_content import DEEDS_OF_CONTENT
from drystone.cluster.api.page.deeds_of_moves import DEEDS_OF_MOVES
from drystone.cluster.model.layout import MOST_MIRRORS
from drystone.cluster.state import rows, schema
from drystone.cluster.state.answers import Answer
from drystone.cluster.state.database import Work


def _new_dlv(values: Values) -> NewDlv:
    return read_as(values, NewDlv, size=True, initial_size=False)


def _fields_of_create(connection: Connection) -> tuple[Field, ...]:
    names = connection.execute(select(schema.dvgs.c.name).order_by(schema.dvgs.c.name)).scalars()
    copies = {1: "1: what a dpv loses is lost", 2: "2: one dpv may be lost", 3: "3: two dpvs may be lost"}
    return (
        Field("name", "Name", "two or more of a-z A-Z 0-9 _ . -"),
        Field("dvg", "Group of dpvs", "the space is taken from there", choices=tuple((each, each) for each in names)),
        Field("size", "Size", "that its users see; such as 512m, 20G or 2t", "10G"),
        Field("mirrors", "Copies", "each on another dpv, at another location", "2",
              tuple((str(each), copies[each]) for each in range(1, MOST_MIRRORS + 1))),
        Field("stripes", "Stripes", "dpvs that are written to side by side, for speed; 1 if in doubt", "1"),
        Field("initial_size", "Space to begin with", "more is taken as it is filled; if empty, all of the size",
              required=False),
    )  # fmt: skip


def _fields_of_attach(connection: Connection) -> tuple[Field, ...]:
    table = schema.ihosts
    found = connection.execute(select(table.c.name).where(table.c.status == "available").order_by(table.c.name))
    return (Field("ihost", "Ihost", "available ones only", choices=tuple((each, each) for each in found.scalars())),)


def _fail_over(values: Values) -> Callable[[Work], Answer]:
    """Say that the ihost is unavailable, unless that is known, and have the dpvs shut it out: all or nothing."""
    name = name_of(values)

    def act(work: Work) -> Answer:
        dlv = rows.load_dlv(work.connection, check_name(name, "dlv"))
        if dlv.attachment is None:
            raise UsageError(f"dlv {name} is attached nowhere", hint="attach it where it is to be")
        holder = dlv.attachment.ihost
        if rows.load_ihost(work.connection, holder).status == "available":
            marks.mark(work, ihosts.KIND, holder, "unavailable", values.get("reason", "") or "said at a failover")
        return attachments.give_up(work, name, force=True)

    read_as({"reason": values.get("reason", "")}, Reason)
    return act


def _mark(kind: Kind, status: Literal["available", "unavailable"]) -> Callable[[Values], Callable[[Work], Answer]]:
    def prepare(values: Values) -> Callable[[Work], Answer]:
        reason = read_as(values, Reason).reason
        if kind == "dpv":
            return lambda work: marks.mark(work, dpvs.KIND, name_of(values), status, reason)
        return lambda work: marks.mark(work, ihosts.KIND, name_of(values), status, reason)

    return prepare


def _reason(_: Connection) -> tuple[Field, ...]:
    return (Field("reason", "Why", "for those who read it later", required=False),)


def _of_snapshot(connection: Connection) -> tuple[Field, ...]:
    del connection
    return (Field("name", "Name of the snapshot", "two or more of a-z A-Z 0-9 _ . -"),)


def _snapshot_of_page(connection: Connection) -> tuple[Field, ...]:
    del connection
    return (Field("name", "Snapshot", hidden=True),)


def _make_snapshot(values: Values) -> Callable[[Work], Answer]:
    wanted = read_as(values, NewSnapshot)
    return lambda work: snapshots.make(work, name_of(values), wanted)


def _create(values: Values) -> Callable[[Work], Answer]:
    wanted = _new_dlv(values)
    return lambda work: dlvs.create(work, wanted)


def _attach(values: Values) -> Callable[[Work], Answer]:
    wanted = read_as(values, AttachmentWish)
    return lambda work: attachments.ask_for(work, name_of(values), wanted)


def _extend(values: Values) -> Callable[[Work], Answer]:
    wanted = read_as(values, Extension, size=True)
    return lambda work: jobs.start(work, name_of(values), wanted)


_DEEDS = (
    Deed(
        "create", "", "Create a volume", "Create it",
        "A volume is a block device that is kept on several servers at once. Its space is taken at once, and the agents"
        " of the dpvs make its legs.",
        _create, _fields_of_create, lambda connection, values: dlvs.preview(connection, _new_dlv(values)), makes=True,
    ),
    Deed(
        "snapshot", "dlv", "Make a snapshot", "Make it",
        "A snapshot keeps what the volume holds now. It takes space only for what is changed later. It is made when the"
        " volume is attached.",
        _make_snapshot, _of_snapshot,
    ),
    Deed(
        "delete-snapshot", "dlv", "Delete a snapshot", "Delete it",
        "What the snapshot alone has kept is lost. The volume stays as it is.",
        lambda values: lambda work: snapshots.remove(work, name_of(values), values.get("name", "")),
        _snapshot_of_page, is_grave=True,
    ),
    Deed(
        "attach", "dlv", "Attach", "Attach it",
        "The volume becomes a block device of an ihost, /dev/mapper/drystone-dlv-NAME. It is at one ihost at a time.",
        _attach, _fields_of_attach,
        lambda connection, values: attachments.preview(connection, name_of(values), read_as(values, AttachmentWish)),
    ),
    Deed(
        "detach", "dlv", "Detach", "Detach it",
        "The ihost writes back what it has and gives the volume up. Unmount its file system there first: what is"
        " open is waited for.",
        lambda values: lambda work: attachments.give_up(work, name_of(values), force=False),
    ),
    Deed(
        "fail-over", "dlv", "Fail over", "Take it by force",
        "For an ihost that is dead, or does not answer. The dpvs shut it out, so that it can write no more, whatever it"
        " still does; then the volume can be attached elsewhere. What it had not written yet is lost, and what was"
        " acknowledged is kept. An ihost that is called unavailable by this stays so until you say otherwise.",
        _fail_over, _reason, is_grave=True,
    ),
    Deed(
        "extend", "dlv", "Extend the pool", "Extend it",
        "More space for what the volume and its snapshots hold: another group. This happens by itself when it is"
        " needed, while the dvg has room; the size that users see stays.",
        _extend, lambda _: (Field("size", "By how much", "at least; such as 20G", "10G"),),
        lambda connection, values: jobs.preview(connection, name_of(values), read_as(values, Extension, size=True)),
    ),
    Deed(
        "delete", "dlv", "Delete a volume", "Delete it",
        "All that the volume and its snapshots hold is lost.",
        lambda values: lambda work: dlvs.remove(work, name_of(values)),
        preview=lambda connection, values: dlvs.preview_removal(connection, name_of(values)), is_grave=True,
    ),
    Deed(
        "dpv-unavailable", "dpv", "Take a dpv out of use", "Take it out",
        "No new leg is put there. Its legs that lack writes, or that an ihost loses, are made anew on other dpvs as far"
        " as the dvg has room. It stays so until you take it back.",
        _mark("dpv", "unavailable"), _reason,
    ),
    Deed(
        "dpv-available", "dpv", "Take a dpv back into use", "Take it back",
        "Space is given out there again, and legs that lack writes are caught up.",
        _mark("dpv", "available"), _reason,
    ),
    Deed(
        "ihost-unavailable", "ihost", "Take an ihost out of use", "Take it out",
        "Nothing is attached there any more. What is there stays; each volume may be taken from it by force.",
        _mark("ihost", "unavailable"), _reason,
    ),
    Deed(
        "ihost-available", "ihost", "Take an ihost back into use", "Take it back",
        "Volumes may be attached there again.",
        _mark("ihost", "available"), _reason,
    ),
)  # fmt: skip

DEEDS: Mapping[str, Deed] = {each.slug: each for each in (*_DEEDS, *DEEDS_OF_CONTENT, *DEEDS_OF_MOVES)}


def find_deed(slug: str) -> Deed:
    """:raises NotFoundError: there is none."""
    if slug not in DEEDS:
        raise NotFoundError(f"there is no page for {slug[:40]!r}", hint="go back to the overview")
    return DEEDS[slug]
