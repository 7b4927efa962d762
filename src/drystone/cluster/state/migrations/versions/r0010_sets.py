"""The epoch of the sets, which no record that was put back counts past. Wishes have it, so all epochs are raised."""

from __future__ import annotations

from alembic import op
from sqlalchemy import BigInteger, Column

revision = "0010"
down_revision = "0005"


def upgrade() -> None:
    """What is recorded counts as the newest. By two statements, as MariaDB sees `epoch` as it is raised already."""
    op.add_column("dlvs", Column("set_epoch", BigInteger(), autoincrement=False, nullable=False, server_default="0"))
    op.execute("UPDATE dlvs SET epoch = epoch + 1, version = version + 1")
    op.execute("UPDATE dlvs SET set_epoch = epoch")
