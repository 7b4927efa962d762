"""Ihosts that know more of a dlv than the record does."""

from __future__ import annotations

from alembic import op
from sqlalchemy import BigInteger, Column, PrimaryKeyConstraint

from drystone.cluster.state.texts import exact

revision = "0009"
down_revision = "0004"


def upgrade() -> None:
    """None was seen yet."""
    op.create_table(
        "ahead_ihosts",
        Column("dlv", exact(36), nullable=False),
        Column("ihost", exact(100), nullable=False),
        Column("epoch", BigInteger(), autoincrement=False, nullable=False),
        PrimaryKeyConstraint("dlv", "ihost", name=op.f("pk_ahead_ihosts")),
    )
