"""Legs that move: dpvs that are evacuated, dvgs that are balanced, legs that are to take the place of others."""

from __future__ import annotations

from alembic import op
from sqlalchemy import Boolean, Column, false

from drystone.cluster.state.texts import exact

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Nothing moves yet."""
    op.add_column("dpvs", Column("evacuating", Boolean(), nullable=False, server_default=false()))
    op.add_column("dvgs", Column("rebalancing", Boolean(), nullable=False, server_default=false()))
    op.add_column("legs", Column("instead_of", exact(36), nullable=False, server_default=""))
