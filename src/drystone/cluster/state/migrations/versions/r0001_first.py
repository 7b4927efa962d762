"""The first tables."""

from __future__ import annotations

from typing import Any

from alembic import op
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKeyConstraint,
    Integer,
    PrimaryKeyConstraint,
    UniqueConstraint,
)
from sqlalchemy.types import TypeEngine

from drystone.cluster.state.texts import exact, unbounded

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Hosts first, as volumes refer to them."""
    _make_hosts()
    _make_volumes()
    _make_parts()
    _make_records()
    op.execute("INSERT INTO event_counter (one, value) VALUES (1, 0)")


def _column(name: str, kind: TypeEngine[Any]) -> Column[Any]:
    return Column(name, kind, nullable=False)


def _number(name: str) -> Column[int]:
    return Column(name, BigInteger(), autoincrement=False, nullable=False)


def _make_hosts() -> None:
    op.create_table(
        "dvgs", _column("name", exact(100)), _number("version"), PrimaryKeyConstraint("name", name=op.f("pk_dvgs"))
    )
    op.create_table(
        "dpvs",
        _column("name", exact(100)),
        _column("address", exact(300)),
        _column("portal", exact(300)),
        _column("location", exact(100)),
        _number("extents"),
        Column("dvg", exact(100), nullable=True),
        _column("status", exact(20)),
        _column("reason", exact(1000)),
        ForeignKeyConstraint(["dvg"], ["dvgs.name"], name=op.f("fk_dpvs_dvg")),
        PrimaryKeyConstraint("name", name=op.f("pk_dpvs")),
    )
    op.create_index(op.f("ix_dpvs_dvg"), "dpvs", ["dvg"], unique=False)
    op.create_table(
        "ihosts",
        _column("name", exact(100)),
        _column("address", exact(300)),
        _column("initiator", exact(230)),
        _column("status", exact(20)),
        _column("reason", exact(1000)),
        PrimaryKeyConstraint("name", name=op.f("pk_ihosts")),
        UniqueConstraint("initiator", name=op.f("uq_ihosts_initiator")),
    )


def _make_volumes() -> None:
    op.create_table(
        "dlvs",
        _column("id", exact(36)),
        _column("name", exact(100)),
        _number("version"),
        _column("dvg", exact(100)),
        _number("size"),
        _number("initial_size"),
        _number("mirrors"),
        _number("stripes"),
        _number("chunk"),
        _number("block"),
        _column("status", exact(20)),
        _column("reason", exact(1000)),
        _number("epoch"),
        _column("clean", Boolean()),
        _number("transaction_id"),
        _column("messages", unbounded()),
        Column("wanted", exact(100), nullable=True),
        Column("ihost", exact(100), nullable=True),
        _number("attached_epoch"),
        ForeignKeyConstraint(["dvg"], ["dvgs.name"], name=op.f("fk_dlvs_dvg")),
        ForeignKeyConstraint(["ihost"], ["ihosts.name"], name=op.f("fk_dlvs_ihost")),
        ForeignKeyConstraint(["wanted"], ["ihosts.name"], name=op.f("fk_dlvs_wanted")),
        PrimaryKeyConstraint("id", name=op.f("pk_dlvs")),
        UniqueConstraint("name", name=op.f("uq_dlvs_name")),
    )
    op.create_index(op.f("ix_dlvs_dvg"), "dlvs", ["dvg"], unique=False)
    op.create_index(op.f("ix_dlvs_ihost"), "dlvs", ["ihost"], unique=False)
    op.create_index(op.f("ix_dlvs_wanted"), "dlvs", ["wanted"], unique=False)


def _make_parts() -> None:
    op.create_table(
        "dlv_groups",
        _column("dlv", exact(36)),
        _number("number"),
        _column("role", exact(20)),
        _number("stripes"),
        _number("extents"),
        _column("blank", Boolean()),
        ForeignKeyConstraint(["dlv"], ["dlvs.id"], name=op.f("fk_dlv_groups_dlv")),
        PrimaryKeyConstraint("dlv", "number", name=op.f("pk_dlv_groups")),
    )
    op.create_table(
        "legs",
        _column("id", exact(36)),
        _column("dlv", exact(36)),
        _number("group"),
        _number("stripe"),
        _number("place"),
        _column("dpv", exact(100)),
        _number("extents"),
        _column("status", exact(20)),
        _column("in_sync", Boolean()),
        _column("copying", Boolean()),
        _column("secret", exact(100)),
        ForeignKeyConstraint(["dlv"], ["dlvs.id"], name=op.f("fk_legs_dlv")),
        ForeignKeyConstraint(["dpv"], ["dpvs.name"], name=op.f("fk_legs_dpv")),
        PrimaryKeyConstraint("id", name=op.f("pk_legs")),
        UniqueConstraint("dlv", "group", "stripe", "place", name=op.f("uq_legs_dlv")),
    )
    op.create_index(op.f("ix_legs_dpv"), "legs", ["dpv"], unique=False)
    op.create_table(
        "snapshots",
        _column("id", exact(36)),
        _column("dlv", exact(36)),
        _column("name", exact(100)),
        _number("thin_id"),
        _number("size"),
        _column("status", exact(20)),
        _column("reason", exact(1000)),
        ForeignKeyConstraint(["dlv"], ["dlvs.id"], name=op.f("fk_snapshots_dlv")),
        PrimaryKeyConstraint("id", name=op.f("pk_snapshots")),
        UniqueConstraint("dlv", "name", name=op.f("uq_snapshots_dlv")),
    )


def _make_records() -> None:
    op.create_table(
        "jobs",
        _column("id", exact(36)),
        _column("kind", exact(20)),
        _column("dlv", exact(100)),
        _number("group"),
        _column("status", exact(20)),
        _column("reason", exact(1000)),
        PrimaryKeyConstraint("id", name=op.f("pk_jobs")),
    )
    op.create_table(
        "events",
        _number("number"),
        _column("at", exact(40)),
        _column("caller", exact(100)),
        _column("request", exact(64)),
        _column("what", exact(40)),
        _column("kind", exact(20)),
        _column("subject", exact(200)),
        _column("text", exact(1000)),
        PrimaryKeyConstraint("number", name=op.f("pk_events")),
    )
    op.create_index("ix_events_kind", "events", ["kind", "subject"], unique=False)
    op.create_table(
        "event_counter",
        Column("one", Integer(), autoincrement=False, nullable=False),
        _number("value"),
        PrimaryKeyConstraint("one", name=op.f("pk_event_counter")),
    )
    op.create_table(
        "answers",
        _column("caller", exact(100)),
        _column("key", exact(100)),
        _column("fingerprint", exact(64)),
        _number("status"),
        _column("body", unbounded()),
        _column("at", exact(40)),
        PrimaryKeyConstraint("caller", "key", name=op.f("pk_answers")),
    )
