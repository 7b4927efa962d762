"""Bringing a database up to date, by one of the API servers that start at the same time."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from sqlalchemy import text

from drystone.base.errors import UnsupportedError

if TYPE_CHECKING:
    from alembic.config import Config
    from sqlalchemy import Connection, Engine

_LOCK = 20261122
_LOCK_SECONDS = 60


def make_config(connection: Connection) -> Config:
    """Alembic's settings for a connection: no file is read."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", "drystone.cluster.state:migrations")
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


def bring_up_to_date(engine: Engine) -> None:
    """Make the tables, or change them to the newest revision.

    Durable when it returns. In SQLite and PostgreSQL it is one transaction; MariaDB commits each statement, so that a
    server that was killed in between leaves a revision half made, which the next start reports.

    :raises UnsupportedError: a newer Drystone wrote the database.
    """
    try:
        from alembic import command
        from alembic.runtime.migration import MigrationContext
        from alembic.script import ScriptDirectory
    except ModuleNotFoundError as error:
        raise UnsupportedError(f"{error.name} is not installed", hint="pip install drystone[cluster]") from error
    with engine.begin() as connection, _alone(connection):
        config = make_config(connection)
        known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
        found = MigrationContext.configure(connection).get_current_heads()
        if strange := set(found) - known:
            raise UnsupportedError(
                f"the cluster's database is of revision {min(strange)}, which this Drystone does not know",
                hint="install the newer one",
            )
        command.upgrade(config, "head")


@contextlib.contextmanager
def _alone(connection: Connection) -> Iterator[None]:
    """Nobody else migrates meanwhile. SQLite's BEGIN IMMEDIATE has seen to it already."""
    kind = connection.dialect.name
    if kind == "postgresql":
        connection.execute(text(f"SELECT pg_advisory_xact_lock({_LOCK})"))
        yield
    elif kind in {"mysql", "mariadb"}:
        # MariaDB commits with every CREATE TABLE: a lock of the session's own outlasts that.
        connection.execute(text(f"SELECT GET_LOCK('drystone-{_LOCK}', {_LOCK_SECONDS})"))
        try:
            yield
        finally:
            connection.execute(text(f"SELECT RELEASE_LOCK('drystone-{_LOCK}')"))
    else:
        yield
