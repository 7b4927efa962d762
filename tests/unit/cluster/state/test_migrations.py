"""Databases of releases before: what their rows become, and that wishes of another release are of another epoch."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from alembic import command
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, text

from drystone.cluster.model import in_sync
from drystone.cluster.model.calls import LegsWish, VolumeWish, export_calls, volume_wish
from drystone.cluster.model.cloning import MESSAGES
from drystone.cluster.model.dlv import Dlv, Group, Leg, Rollback, Snapshot, Source
from drystone.cluster.model.dpv import Dpv
from drystone.cluster.state.migrations.apply import make_config

RAISED = ("0010", "b02f1dfeeb47e09a")
"""The newest revision that raises all epochs, and the hash of what wishes were then."""


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[Connection]:
    with create_engine(f"sqlite:///{tmp_path}/cluster.db").begin() as opened:
        yield opened


def upgrade(connection: Connection, revision: str) -> None:
    command.upgrade(make_config(connection), revision)


def revision_before(connection: Connection, revision: str) -> str:
    found = ScriptDirectory.from_config(make_config(connection)).get_revision(revision)
    assert isinstance(found.down_revision, str)
    return found.down_revision


def insert_dlv(connection: Connection, **values: object) -> None:
    """With zeros, or empty texts, in all other columns."""
    connection.execute(text("INSERT INTO dvgs (name, version) VALUES ('fast', 1)"))
    columns = connection.execute(text("PRAGMA table_info(dlvs)")).mappings().all()
    needed = {each["name"]: "" if "CHAR" in each["type"] else 0 for each in columns if each["notnull"]}
    row = {**needed, "id": "id", "name": "db", "dvg": "fast", "messages": "[]", **values}
    places = ", ".join(f":{name}" for name in row)
    connection.execute(text(f"INSERT INTO dlvs ({', '.join(row)}) VALUES ({places})"), row)


def test_of_a_release_before_the_record_counts_as_the_newest(connection: Connection) -> None:
    upgrade(connection, revision_before(connection, "0010"))
    insert_dlv(connection, epoch=7, version=9)
    upgrade(connection, "0010")
    found = connection.execute(text("SELECT epoch, set_epoch, version FROM dlvs")).one()
    assert tuple(found) == (8, 8, 10)


def test_the_revision_that_is_recorded_here_raises_all_epochs(connection: Connection) -> None:
    revision = RAISED[0]
    upgrade(connection, revision_before(connection, revision))
    insert_dlv(connection, epoch=7)
    upgrade(connection, revision)
    assert connection.execute(text("SELECT epoch FROM dlvs")).scalar_one() > 7


def test_wishes_change_only_with_a_revision_that_raises_all_epochs() -> None:
    """An agent that was told something else in the same epoch takes the record for an old copy."""
    found = hashlib.sha256(msgspec.json.encode([*schemas(), *wishes()], order="sorted")).hexdigest()[:16]
    assert found == RAISED[1], (
        "what agents are told of a dlv is not what it was. Add a migration behind the newest one that has "
        '"UPDATE dlvs SET epoch = epoch + 1, version = version + 1" (see r0010_sets.py), and put its revision and '
        f"{found} into RAISED: decision 0080"
    )


def schemas() -> list[object]:
    return [_plain(msgspec.json.schema(kind)) for kind in (LegsWish, VolumeWish)]


def _plain(schema: Any) -> Any:
    """Without docstrings."""
    if isinstance(schema, dict):
        return {key: _plain(value) for key, value in schema.items() if key != "description"}
    return [_plain(each) for each in schema] if isinstance(schema, list | tuple) else schema


def wishes() -> list[LegsWish | VolumeWish]:
    """Of dlvs in their states: as they are attached, lose a leg and get it back; rolled back, copied from another."""
    found: list[LegsWish | VolumeWish] = []
    for mirrors in (1, 2, 3):
        blank = make_dlv(mirrors)
        dpvs = {leg.dpv: Dpv(name=leg.dpv, address="a:1", portal="10.0.0.1:3260", extents=9) for leg in blank.legs}
        found += [call.body for call in export_calls(blank, dpvs, ["iqn.2026-11.org.example:h"])]
        changes = [in_sync.attach(blank, "h", {leg.id for leg in blank.legs})]
        if mirrors > 1:
            attached = changes[0].dlv
            changes += [(lost := in_sync.shrink(attached, "h", attached.epoch, ["b10"]))]
            changes += [in_sync.readmit(lost.dlv, "h", lost.dlv.epoch, "b10", noted=True)]
        for dlv, assemblies in changes:
            changed = {each.mirror: each for each in assemblies}
            found.append(volume_wish(dlv, [changed.get(each.mirror, each) for each in in_sync.standing(dlv)], dpvs))
        snapshot = Snapshot(id="snap", name="monday", thin_id=1, size=1 << 30, status="available", opened=True)
        source = Source(dlv="other", name="other", snapshot="snap", thin_id=1)
        for other in (
            {"snapshots": (snapshot,), "transaction_id": 2, "messages": ("create_snap 1 0",)},
            {"snapshots": (snapshot,), "rollback": Rollback(snapshot="snap", thin_id=2)},
            {"source": source, "messages": MESSAGES},
        ):
            dlv = msgspec.structs.replace(changes[0].dlv, **other)
            found.append(volume_wish(dlv, in_sync.standing(dlv), dpvs))
    return found


def make_dlv(mirrors: int) -> Dlv:
    shapes = [
        Group(number=number, role="data" if number else "metadata", stripes=1 + number, extents=2) for number in (0, 1)
    ]
    legs = [
        Leg(id=f"{'abc'[place]}{key.group}{key.stripe}", group=key.group, stripe=key.stripe, place=place,
            dpv=f"dpv{place}", extents=2)
        for group in shapes
        for key in group.mirrors
        for place in range(mirrors)
    ]  # fmt: skip
    return Dlv(
        id="id", name="db", dvg="fast", size=1 << 30, initial_size=1 << 24, mirrors=mirrors, stripes=2, chunk=128,
        block=128, groups=tuple(shapes), legs=tuple(legs),
    )  # fmt: skip
