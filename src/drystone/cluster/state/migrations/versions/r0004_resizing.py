"""Sizes that grow and volumes that go back: the volume's own thin id, what is to be told to its pool, file systems."""

from __future__ import annotations

from alembic import op
from sqlalchemy import BigInteger, Column

from drystone.cluster.state.texts import exact

revision = "0004"
down_revision = "0008"


def upgrade() -> None:
    """The volumes that there are have thin id 0, as all had."""
    for table, name in (("dlvs", "thin_id"), ("dlvs", "rollback_thin_id"), ("dlvs", "fill"), ("jobs", "fill")):
        op.add_column(table, Column(name, BigInteger(), autoincrement=False, nullable=False, server_default="0"))
    op.add_column("dlvs", Column("rollback_snapshot", exact(36), nullable=True))
