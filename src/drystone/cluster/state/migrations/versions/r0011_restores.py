"""Restores: what dlvs are being filled from."""

from __future__ import annotations

from alembic import op
from sqlalchemy import Column, ForeignKeyConstraint, PrimaryKeyConstraint

from drystone.cluster.state.texts import exact

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """No dlv is."""
    op.create_table(
        "restores",
        Column("dlv", exact(36), nullable=False),
        Column("repository", exact(100), nullable=False),
        Column("volume", exact(36), nullable=False),
        Column("backup", exact(36), nullable=False),
        Column("ihost", exact(100), nullable=False),
        ForeignKeyConstraint(["dlv"], ["dlvs.id"], name=op.f("fk_restores_dlv")),
        PrimaryKeyConstraint("dlv", name=op.f("pk_restores")),
    )
