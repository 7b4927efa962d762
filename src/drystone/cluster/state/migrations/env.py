"""What Alembic runs: the revisions that are missing, on the connection that it was handed, in its transaction."""

from __future__ import annotations

from alembic import context

from drystone.cluster.state.schema import TABLES

context.configure(connection=context.config.attributes["connection"], target_metadata=TABLES)
context.run_migrations()
