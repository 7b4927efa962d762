"""The tables of a mapper's database, for SQLite and PostgreSQL, and how an older one is brought up to date."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    Float,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    select,
)

from drystone.base.errors import UnsupportedError

VERSION = 1
"""Of the schema that this file describes."""

TABLES = MetaData()

schema_version = Table("schema_version", TABLES, Column("version", Integer, nullable=False))

fleet = Table(
    "fleet",
    TABLES,
    Column("one", Integer, primary_key=True, autoincrement=False),
    Column("id", Text, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("recovering", Boolean, nullable=False),
)
"""One row: the fleet's id, the version of the map, and whether it is being rebuilt from what the disks hold."""

lease = Table(
    "lease",
    TABLES,
    Column("one", Integer, primary_key=True, autoincrement=False),
    Column("term", BigInteger, nullable=False),
    Column("holder", Text, nullable=False),
    Column("url", Text, nullable=False),
    Column("until", Float(53), nullable=False),
)
"""One row: who leads the mappers, until when by the database's clock (seconds since 1970)."""

servers = Table(
    "servers",
    TABLES,
    Column("id", Text, primary_key=True),
    Column("url", Text, nullable=False),
    Column("alive", Boolean, nullable=False),
)

disks = Table(
    "disks",
    TABLES,
    Column("disk_id", Text, primary_key=True),
    Column("server", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("mark", Text, nullable=False),
    Column("reason", Text, nullable=False),
)

placements = Table(
    "placements",
    TABLES,
    Column("id", Text, primary_key=True),
    Column("namespace", Text, nullable=False),
    Column("host", Text, nullable=False),
    Column("epoch", BigInteger, nullable=False),
    Column("leader", Text, nullable=False),
    Column("document", Text, nullable=False),
    UniqueConstraint("namespace", "host"),
)
"""`document` is the Placement as JSON; the columns before it are what is searched by or compared."""

removed = Table("removed", TABLES, Column("id", Text, primary_key=True), Column("folder", Text, nullable=False))
"""Placements that have ended: what disks hold of them is left over."""

leftovers = Table(
    "leftovers",
    TABLES,
    Column("placement", Text, nullable=False),
    Column("disk_id", Text, nullable=False),
    Column("since", Float(53), nullable=False),
    Column("due", Boolean, nullable=False),
    PrimaryKeyConstraint("placement", "disk_id"),
)

buckets = Table("buckets", TABLES, Column("name", Text, primary_key=True), Column("document", Text, nullable=False))

keys = Table("access_keys", TABLES, Column("name", Text, primary_key=True), Column("document", Text, nullable=False))

groups = Table(
    "vbucket_groups",
    TABLES,
    Column("namespace", Text, nullable=False),
    Column("host", Text, nullable=False),
    Column("vbuckets", Text, nullable=False),
    PrimaryKeyConstraint("namespace", "host"),
)
"""`vbuckets`: a JSON list of numbers."""

audit = Table(
    "audit",
    TABLES,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("at", Float(53), nullable=False),
    Column("term", BigInteger, nullable=False),
    Column("what", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("why", Text, nullable=False),
)


def migrate(connection: Connection, new_fleet: str) -> None:
    """Make the tables that are missing. Called inside a transaction that nobody else can be in.

    :param new_fleet: the id of the fleet, when the database is new.
    :raises UnsupportedError: a newer Drystone made the database.
    """
    TABLES.create_all(connection)
    found = connection.execute(select(schema_version.c.version)).scalar()
    if found is None:
        connection.execute(schema_version.insert().values(version=VERSION))
        connection.execute(fleet.insert().values(one=1, id=new_fleet, version=1, recovering=False))
        connection.execute(lease.insert().values(one=1, term=0, holder="", url="", until=0.0))
    elif found > VERSION:
        raise UnsupportedError(
            f"the mapper's database has schema {found}, this Drystone knows {VERSION}", hint="install the newer one"
        )
