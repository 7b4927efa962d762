"""Ihosts that were shut out, until they have confirmed that they have nothing any more; dpvs that know more."""

from __future__ import annotations

from alembic import op
from sqlalchemy import BigInteger, Column, ForeignKeyConstraint, PrimaryKeyConstraint

from drystone.cluster.state.texts import exact

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Of those that were shut out before nothing is known."""
    op.create_table(
        "dropped_volumes",
        Column("dlv", exact(36), nullable=False),
        Column("ihost", exact(100), nullable=False),
        Column("epoch", BigInteger(), autoincrement=False, nullable=False),
        ForeignKeyConstraint(["ihost"], ["ihosts.name"], name=op.f("fk_dropped_volumes_ihost")),
        PrimaryKeyConstraint("dlv", "ihost", name=op.f("pk_dropped_volumes")),
    )
    op.create_table(
        "ahead_dpvs",
        Column("dlv", exact(36), nullable=False),
        Column("dpv", exact(100), nullable=False),
        Column("epoch", BigInteger(), autoincrement=False, nullable=False),
        PrimaryKeyConstraint("dlv", "dpv", name=op.f("pk_ahead_dpvs")),
    )
