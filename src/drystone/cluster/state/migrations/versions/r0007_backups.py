"""Backups of dlvs that were asked for."""

from __future__ import annotations

from alembic import op
from sqlalchemy import BigInteger, Column, PrimaryKeyConstraint

from drystone.cluster.state.texts import exact

revision = "0007"
down_revision = "0003"


def upgrade() -> None:
    """None yet."""
    op.create_table(
        "backups",
        Column("id", exact(36), nullable=False),
        Column("dlv", exact(100), nullable=False),
        Column("volume", exact(36), nullable=False),
        Column("snapshot", exact(100), nullable=False),
        Column("size", BigInteger(), autoincrement=False, nullable=False),
        Column("repository", exact(100), nullable=False),
        Column("status", exact(20), nullable=False),
        Column("reason", exact(1000), nullable=False),
        Column("done", BigInteger(), autoincrement=False, nullable=False),
        Column("total", BigInteger(), autoincrement=False, nullable=False),
        Column("backup", exact(36), nullable=False),
        PrimaryKeyConstraint("id", name=op.f("pk_backups")),
    )
    op.create_index(op.f("ix_backups_volume"), "backups", ["volume"], unique=False)
