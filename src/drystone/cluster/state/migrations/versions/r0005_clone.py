"""Clones: what they are copied from, snapshots that are opened for that, how far a job is."""

from __future__ import annotations

from alembic import op
from sqlalchemy import BigInteger, Boolean, Column, ForeignKeyConstraint, PrimaryKeyConstraint, false

from drystone.cluster.state.texts import exact

revision = "0005"
down_revision = "0009"


def upgrade() -> None:
    """No dlv is a clone, and no snapshot open."""
    for name in ("opened", "temporary"):
        op.add_column("snapshots", Column(name, Boolean(), nullable=False, server_default=false()))
    for name in ("done", "total"):
        op.add_column("jobs", Column(name, BigInteger(), autoincrement=False, nullable=False, server_default="0"))
    op.create_table(
        "clones",
        Column("dlv", exact(36), nullable=False),
        Column("source", exact(36), nullable=False),
        Column("snapshot", exact(36), nullable=False),
        Column("thin_id", BigInteger(), autoincrement=False, nullable=False),
        Column("status", exact(20), nullable=False),
        ForeignKeyConstraint(["dlv"], ["dlvs.id"], name=op.f("fk_clones_dlv")),
        ForeignKeyConstraint(["source"], ["dlvs.id"], name=op.f("fk_clones_source")),
        PrimaryKeyConstraint("dlv", name=op.f("pk_clones")),
    )
    op.create_index(op.f("ix_clones_source"), "clones", ["source"], unique=False)
