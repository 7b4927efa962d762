"""What the monitor needs: what logs know of legs, legs that were dropped, jobs of legs, leases."""

from __future__ import annotations

from alembic import op
from sqlalchemy import BigInteger, Boolean, Column, ForeignKeyConstraint, PrimaryKeyConstraint, false

from drystone.cluster.state.texts import exact

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Of the legs that there are no log is trusted."""
    op.add_column("legs", Column("noted", Boolean(), nullable=False, server_default=false()))
    op.add_column("jobs", Column("leg", exact(36), nullable=False, server_default=""))
    op.create_table(
        "dropped_legs",
        Column("id", exact(36), nullable=False),
        Column("dlv", exact(36), nullable=False),
        Column("dpv", exact(100), nullable=False),
        Column("extents", BigInteger(), autoincrement=False, nullable=False),
        Column("epoch", BigInteger(), autoincrement=False, nullable=False),
        ForeignKeyConstraint(["dpv"], ["dpvs.name"], name=op.f("fk_dropped_legs_dpv")),
        PrimaryKeyConstraint("id", name=op.f("pk_dropped_legs")),
    )
    op.create_index(op.f("ix_dropped_legs_dpv"), "dropped_legs", ["dpv"], unique=False)
    op.create_table(
        "leases",
        Column("name", exact(100), nullable=False),
        Column("holder", exact(100), nullable=False),
        Column("turns", BigInteger(), autoincrement=False, nullable=False),
        PrimaryKeyConstraint("name", name=op.f("pk_leases")),
    )
