"""The tables, for SQLite, PostgreSQL and MariaDB. What leads there from an older database: `migrations`.

Names are compared byte by byte in all three. Sizes are bytes, extents of 4 MiB, or sectors, as the values of
drystone.cluster.model that they stand for say.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, ForeignKey, Index, Integer, MetaData, Table, false
from sqlalchemy import UniqueConstraint as Unique

from drystone.cluster.state.texts import exact, unbounded

TABLES = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "ix": "ix_%(table_name)s_%(column_0_name)s",
    }
)


def _key(name: str, length: int = 100) -> Column[str]:
    return Column(name, exact(length), primary_key=True)


def _text(name: str, length: int = 100) -> Column[str]:
    return Column(name, exact(length), nullable=False)


def _refers(name: str, to: str, length: int, *, key: bool = False) -> Column[str]:
    """A column with the key of another table's row."""
    return Column(name, exact(length), ForeignKey(to), primary_key=key, nullable=False)


def _long(name: str) -> Column[str]:
    return Column(name, unbounded(), nullable=False)


def _number(name: str, *, key: bool = False) -> Column[int]:
    """64 bits."""
    return Column(name, BigInteger, primary_key=key, nullable=False, autoincrement=False)


def _zero(name: str) -> Column[int]:
    """64 bits, 0 in rows that were there before it was."""
    return Column(name, BigInteger, nullable=False, autoincrement=False, server_default="0")


def _flag(name: str) -> Column[bool]:
    return Column(name, Boolean, nullable=False)


dvgs = Table(
    "dvgs",
    TABLES,
    _key("name"),
    _number("version"),
    Column("rebalancing", Boolean, nullable=False, server_default=false()),
)

dpvs = Table(
    "dpvs",
    TABLES,
    _key("name"),
    _text("address", 300),
    _text("portal", 300),
    _text("location"),
    _number("extents"),
    Column("dvg", exact(100), ForeignKey("dvgs.name"), nullable=True, index=True),
    _text("status", 20),
    _text("reason", 1000),
    Column("evacuating", Boolean, nullable=False, server_default=false()),
)
"""`dvg` is NULL for none."""

ihosts = Table(
    "ihosts",
    TABLES,
    _key("name"),
    _text("address", 300),
    Column("initiator", exact(230), nullable=False, unique=True),
    _text("status", 20),
    _text("reason", 1000),
)

dlvs = Table(
    "dlvs",
    TABLES,
    _key("id", 36),
    Column("name", exact(100), nullable=False, unique=True),
    _number("version"),
    Column("dvg", exact(100), ForeignKey("dvgs.name"), nullable=False, index=True),
    *(_number(name) for name in ("size", "initial_size", "mirrors", "stripes", "chunk", "block")),
    _text("status", 20),
    _text("reason", 1000),
    _number("epoch"),
    _flag("clean"),
    _number("transaction_id"),
    _long("messages"),
    Column("wanted", exact(100), ForeignKey("ihosts.name"), nullable=True, index=True),
    Column("ihost", exact(100), ForeignKey("ihosts.name"), nullable=True, index=True),
    _number("attached_epoch"),
    _zero("thin_id"),
    Column("rollback_snapshot", exact(36), nullable=True),
    _zero("rollback_thin_id"),
    _zero("fill"),
    _zero("set_epoch"),
)
"""`messages`: a JSON list of texts. `wanted` and `ihost` are NULL for none, `attached_epoch` is 0 then;
`rollback_snapshot` is NULL for none, `rollback_thin_id` is 0 then."""

groups = Table(
    "dlv_groups",
    TABLES,
    _refers("dlv", "dlvs.id", 36, key=True),
    _number("number", key=True),
    _text("role", 20),
    _number("stripes"),
    _number("extents"),
    _flag("blank"),
)

legs = Table(
    "legs",
    TABLES,
    _key("id", 36),
    _refers("dlv", "dlvs.id", 36),
    _number("group"),
    _number("stripe"),
    _number("place"),
    Column("dpv", exact(100), ForeignKey("dpvs.name"), nullable=False, index=True),
    _number("extents"),
    _text("status", 20),
    _flag("in_sync"),
    _flag("copying"),
    _text("secret"),
    Column("noted", Boolean, nullable=False, server_default=false()),
    Column("instead_of", exact(36), nullable=False, server_default=""),
    Unique("dlv", "group", "stripe", "place"),
)
"""`secret`: of CHAP; it is in no value that the API shows."""

snapshots = Table(
    "snapshots",
    TABLES,
    _key("id", 36),
    _refers("dlv", "dlvs.id", 36),
    _text("name"),
    _number("thin_id"),
    _number("size"),
    _text("status", 20),
    _text("reason", 1000),
    Column("opened", Boolean, nullable=False, server_default=false()),
    Column("temporary", Boolean, nullable=False, server_default=false()),
    Unique("dlv", "name"),
)

clones = Table(
    "clones",
    TABLES,
    _refers("dlv", "dlvs.id", 36, key=True),
    Column("source", exact(36), ForeignKey("dlvs.id"), nullable=False, index=True),
    _text("snapshot", 36),
    _number("thin_id"),
    _text("status", 20),
)
"""What clones are copied from: `source` is the id of a dlv, `snapshot` that of its snapshot."""

restores = Table(
    "restores",
    TABLES,
    _refers("dlv", "dlvs.id", 36, key=True),
    _text("repository"),
    _text("volume", 36),
    _text("backup", 36),
    _text("ihost"),
)
"""What dlvs are being filled from."""

jobs = Table(
    "jobs",
    TABLES,
    _key("id", 36),
    _text("kind", 20),
    _text("dlv"),
    _number("group"),
    _text("status", 20),
    _text("reason", 1000),
    Column("leg", exact(36), nullable=False, server_default=""),
    _zero("fill"),
    _zero("done"),
    _zero("total"),
)
"""`dlv` is a name: a job is remembered longer than its dlv."""

backups = Table(
    "backups",
    TABLES,
    _key("id", 36),
    _text("dlv"),
    Column("volume", exact(36), nullable=False, index=True),
    _text("snapshot"),
    _number("size"),
    _text("repository"),
    _text("status", 20),
    _text("reason", 1000),
    _number("done"),
    _number("total"),
    _text("backup", 36),
)
"""`volume`: the id of the dlv, which is remembered longer than that is there; `dlv`: its name then."""

dropped = Table(
    "dropped_legs",
    TABLES,
    _key("id", 36),
    _text("dlv", 36),
    Column("dpv", exact(100), ForeignKey("dpvs.name"), nullable=False, index=True),
    _number("extents"),
    _number("epoch"),
)
"""Legs that their dlv has given up, and of which the dpv has not confirmed that they are gone. `dlv`: its id, that of
one that is gone perhaps; `epoch`: in which it has them no more."""

dropped_volumes = Table(
    "dropped_volumes",
    TABLES,
    _key("dlv", 36),
    _refers("ihost", "ihosts.name", 100, key=True),
    _number("epoch"),
)
"""Dlvs that were taken from an ihost by force, and of which that has not confirmed that it has nothing any more. `dlv`:
its id, that of one that is gone perhaps; `epoch`: in which the ihost has it no more."""

ahead = Table("ahead_dpvs", TABLES, _key("dlv", 36), _key("dpv"), _number("epoch"))
"""Dpvs that know an epoch of a dlv, by its id, that was never recorded here."""

ahead_ihosts = Table("ahead_ihosts", TABLES, _key("dlv", 36), _key("ihost"), _number("epoch"))
"""Ihosts that do. Nothing is done about the dlv while there is one."""

leases = Table("leases", TABLES, _key("name"), _text("holder"), _number("turns"))
"""Who does a work that one at a time is enough for. `turns`: grows while the holder is at it."""

events = Table(
    "events",
    TABLES,
    _number("number", key=True),
    _text("at", 40),
    _text("caller"),
    _text("request", 64),
    _text("what", 40),
    _text("kind", 20),
    _text("subject", 200),
    _text("text", 1000),
    Index("ix_events_kind", "kind", "subject"),
)
"""`at`: RFC 3339 in UTC. `caller`: who asked, `request`: the id of the request."""

event_counter = Table(
    "event_counter", TABLES, Column("one", Integer, primary_key=True, autoincrement=False), _number("value")
)
"""One row: the number of the newest event."""

answers = Table(
    "answers",
    TABLES,
    _key("caller"),
    _key("key"),
    _text("fingerprint", 64),
    _number("status"),
    _long("body"),
    _text("at", 40),
)
"""What requests with an idempotency key were answered."""
