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
    Table,
    Text,
    UniqueConstraint,
    select,
)

from drystone.base.errors import UnsupportedError

VERSION = 2
"""Of the schema that this file describes."""

TABLES = MetaData()


def _name(name: str) -> Column[str]:
    """A column that the row is found by."""
    return Column(name, Text, primary_key=True)


def _texts(*names: str) -> list[Column[str]]:
    return [Column(name, Text, nullable=False) for name in names]


def _number(name: str) -> Column[int]:
    """64 bits."""
    return Column(name, BigInteger, nullable=False)


def _seconds(name: str) -> Column[float]:
    """Since 1970, by the database's clock for leases, by the mapper's for all else."""
    return Column(name, Float(53), nullable=False)


def _flag(name: str) -> Column[bool]:
    return Column(name, Boolean, nullable=False)


def _one() -> Column[int]:
    """The key of a table of one row."""
    return Column("one", Integer, primary_key=True, autoincrement=False)


schema_version = Table("schema_version", TABLES, Column("version", Integer, nullable=False))

fleet = Table("fleet", TABLES, _one(), *_texts("id"), _number("version"), _flag("recovering"))
"""One row: the fleet's id, the version of the map, and whether it is being rebuilt from what the disks hold."""

lease = Table("lease", TABLES, _one(), _number("term"), *_texts("holder", "url"), _seconds("until"))
"""One row: who leads the mappers, until when by the database's clock."""

servers = Table("servers", TABLES, _name("id"), *_texts("url"), _flag("alive"))

disks = Table("disks", TABLES, _name("disk_id"), *_texts("server", "name", "mark", "reason"))

placements = Table(
    "placements",
    TABLES,
    _name("id"),
    *_texts("namespace", "host"),
    _number("epoch"),
    *_texts("leader", "document"),
    UniqueConstraint("namespace", "host"),
)
"""`document` is the Placement as JSON; the columns before it are what is searched by or compared."""

led_past = Table("led_past", TABLES, _name("placement"))
"""While the map is being rebuilt: placements in epochs that no database lost before can have come to. New in 2."""

removed = Table("removed", TABLES, _name("id"), *_texts("folder"))
"""Placements that have ended: what disks hold of them is left over."""

leftovers = Table("leftovers", TABLES, _name("placement"), _name("disk_id"), _seconds("since"), _flag("due"))

buckets = Table("buckets", TABLES, _name("name"), *_texts("document"))

keys = Table("access_keys", TABLES, _name("name"), *_texts("document"))

groups = Table("vbucket_groups", TABLES, _name("namespace"), _name("host"), *_texts("vbuckets"))
"""`vbuckets`: a JSON list of numbers."""

drills = Table(
    "drills",
    TABLES,
    _name("placement"),
    _seconds("at"),
    _flag("passed"),
    _number("objects"),
    _number("size"),
    *_texts("text"),
)
"""The last restore drill of each placement."""

audit = Table(
    "audit",
    TABLES,
    Column("id", Integer, primary_key=True, autoincrement=True),
    _seconds("at"),
    _number("term"),
    *_texts("what", "subject", "why"),
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
    elif found < VERSION:  # what is new since is a table, and is there now
        connection.execute(schema_version.update().values(version=VERSION))
