"""What a mapper is told once, when it starts: from a TOML file, flags, or both (flags win)."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec

from drystone.base.configuration import check_tls, check_url, load
from drystone.base.errors import UsageError
from drystone.fleet.documents import Policy
from drystone.fleet.mapping.rules import Rules

_HOME = Path("/var/lib/drystone/mapper")

Legacy = Literal["auto", "open", "key"]


class MapperSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The settings of a mapper; the names are those of the TOML file.

    :ivar listen: HOST:PORT. :ivar url: where others call it; what it listens on when "". :ivar database: `sqlite:///PATH`
        or `postgresql://...`. :ivar secret: file with the fleet's secret. :ivar servers: ids of the storage servers of
        the fleet; empty: all that have the secret. :ivar policy: of buckets that S3 makes.
    :ivar certificate: PEM file, with :ivar key_file: its key, for https.
    :ivar legacy: who may use the legacy interface: everybody ("open"), who has a key ("key"), or the first when only
        this machine can reach it ("auto").
    :ivar dead, replace, leftover, forgotten: seconds, as in Rules. :ivar copies: of each placement.
    :ivar drill: seconds from a host's restore drill to its next, 0 for never. :ivar drill_objects: read in one at most.
    :ivar audit_days: that an entry of the audit log stays in the database, 0: for ever. :ivar audit_entries: that stay
        there, 0: any number. :ivar audit_folder: where older ones go; None: `audit`, beside the database's file.
    :ivar recover: the database is an old one, put back: whatever the disks know better is taken from them first.
    """

    listen: str = "127.0.0.1:8079"
    url: str = ""
    database: str = "sqlite:////var/lib/drystone/mapper/map.db"
    secret: Path = Path("/etc/drystone/fleet.secret")
    servers: tuple[str, ...] = ()
    policy: Policy = "shared"
    certificate: Path | None = None
    key_file: Path | None = None
    legacy: Legacy = "auto"
    dead: float = 6.0
    replace: float = 30.0
    leftover: float = 3600.0
    forgotten: float = 604_800.0
    copies: int = 2
    drill: float = 86_400.0
    drill_objects: int = 10
    audit_days: float = 365.0
    audit_entries: int = 1_000_000
    audit_folder: Path | None = None
    recover: bool = False

    def audit_place(self) -> Path:
        """The folder of the audit log's older entries."""
        if self.audit_folder is not None:
            return self.audit_folder
        kind, _, place = self.database.partition(":///")
        return (Path(place).parent if kind == "sqlite" else _HOME) / "audit"

    def rules(self) -> Rules:
        """What decisions are told of them."""
        return Rules(
            dead=self.dead,
            replace=self.replace,
            leftover=self.leftover,
            forgotten=self.forgotten,
            copies=self.copies,
            servers=frozenset(self.servers),
            policy=self.policy,
            drill=self.drill,
            drill_objects=self.drill_objects,
        )


def load_settings(path: Path | None, flags: dict[str, object]) -> MapperSettings:
    """The settings of a file with what `flags` says instead (None: not given).

    :raises NotFoundError: there is no such file. :raises UsageError: it is no TOML, or a value is wrong.
    """
    settings = load(MapperSettings, path, flags, "mapper", hint="drystone fleet mapper --help")
    check_settings(settings)
    return settings


def check_settings(settings: MapperSettings) -> None:
    """:raises UsageError: values that do not go together."""
    if settings.url:
        check_url(settings.url)
    check_tls(settings.certificate, settings.key_file)
    if not 1 <= settings.copies <= 4:
        raise UsageError(f"{settings.copies} copies: 1 to 4 can be kept")
    if settings.dead < 3:
        raise UsageError(f"dead = {settings.dead:g}: a server sends a heartbeat a second; allow 3 seconds at least")
    if settings.replace < settings.dead:
        raise UsageError("a dead server's copies cannot be made anew before it is dead", hint="replace >= dead")
    if settings.leftover < 0 or settings.forgotten < 0:
        raise UsageError("what is left over, or forgotten, is deleted after so many seconds: 0 or more")
    if settings.drill < 0 or not 1 <= settings.drill_objects <= 10_000:
        raise UsageError("a drill is made every so many seconds (0: never), and reads 1 to 10000 objects")
    if settings.audit_days < 0 or settings.audit_entries < 0:
        raise UsageError("so many days and entries of the audit log stay in the database; 0: all")
