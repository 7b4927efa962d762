"""The types of text in the tables, as revisions name them too: they stay as they are."""

from __future__ import annotations

from sqlalchemy import String, Text
from sqlalchemy.dialects import mysql, postgresql
from sqlalchemy.types import TypeEngine


def exact(length: int) -> TypeEngine[str]:
    """Text of up to `length` characters that is compared and ordered by its bytes, whatever the database's locale."""
    here = mysql.VARCHAR(length, charset="utf8mb4", collation="utf8mb4_bin")
    there = postgresql.VARCHAR(length, collation="C")
    return String(length).with_variant(here, "mysql", "mariadb").with_variant(there, "postgresql")


def unbounded() -> TypeEngine[str]:
    """Text of any length; 16 MiB in MariaDB."""
    return Text().with_variant(mysql.MEDIUMTEXT(charset="utf8mb4", collation="utf8mb4_bin"), "mysql", "mariadb")
