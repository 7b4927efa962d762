"""What a storage server is told once, when it starts: from a TOML file, flags, or both (flags win)."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec

from drystone.base.configuration import check_tls, load
from drystone.base.errors import UsageError
from drystone.base.names import check_name
from drystone.fleet.storage.smart import Policy
from drystone.fleet.storage.torrents.engine import check_library, find_host
from drystone.wire.tcp import parse_address

Legacy = Literal["auto", "open", "key"]


class StorageSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The settings of a storage server; the names are those of the TOML file.

    :ivar id: of this server in the fleet, never changed. :ivar listen: HOST:PORT. :ivar url: where others call it; what
        it listens on when "". :ivar mappers: URLs. :ivar root: folder with data_1, data_2, ... :ivar state: folder of
        the map it knew last. :ivar secret: file with the fleet's secret.
    :ivar certificate: PEM file, with :ivar key_file: its key, for https. :ivar authority: PEM file of those to trust.
    :ivar legacy: who may use the legacy interface: everybody ("open"), who has a key ("key"), or the first when only
        this machine can reach it ("auto").
    :ivar domain: of virtual-host style requests. :ivar copy_rate: bytes a second, of copying, a disk; 0 is no limit.
    :ivar scrub_rate: bytes a second of reading back, a disk; 0 for never. :ivar scrub_days: between two scrubs.
    :ivar patience: seconds for which a request waits for a leader while it changes: a failover takes about six.
    :ivar head_seconds: that a client may take for a request's head. :ivar still_seconds: without a byte of its body, or
        without taking one of the answer.
    :ivar smart: what becomes of a disk that says it fails (SMART): it is emptied ("drain"), counts as bad at once, or
        is only reported; "off": disks are not asked. :ivar smart_sectors: unreadable sectors that it may have.
    :ivar smart_seconds: from one question to the next. :ivar smartctl: the program that asks, by name or path.
    :ivar torrents: HOST:PORT, in numbers, where copies are exchanged by BitTorrent; all are made by HTTP when "".
    """

    id: str
    listen: str = "127.0.0.1:8080"
    url: str = ""
    mappers: tuple[str, ...] = ()
    root: Path = Path("/")
    state: Path = Path("/var/lib/drystone/storage")
    secret: Path = Path("/etc/drystone/fleet.secret")
    certificate: Path | None = None
    key_file: Path | None = None
    authority: Path | None = None
    legacy: Legacy = "auto"
    domain: str = ""
    copy_rate: int = 100 << 20
    scrub_rate: int = 20 << 20
    scrub_days: float = 7.0
    patience: float = 12.0
    head_seconds: float = 60.0
    still_seconds: float = 30.0
    smart: Policy = "drain"
    smart_sectors: int = 0
    smart_seconds: float = 1800.0
    smartctl: str = "smartctl"
    torrents: str = ""


def load_settings(path: Path | None, flags: dict[str, object]) -> StorageSettings:
    """The settings of a file with what `flags` says instead (None: not given).

    :raises NotFoundError: there is no such file. :raises UsageError: it is no TOML, or a value is wrong or missing.
    :raises UnsupportedError: torrents are wanted, and libtorrent is not installed.
    """
    settings = load(StorageSettings, path, flags, "storage server", hint="drystone fleet storage --help")
    check_settings(settings)
    return settings


def check_settings(settings: StorageSettings) -> None:
    """:raises UsageError: values that do not go together. :raises UnsupportedError: torrents without libtorrent."""
    check_name(settings.id, "id of the server")
    if not settings.mappers:
        raise UsageError("no mapper is named", hint="--mapper http://HOST:PORT")
    for url in (*settings.mappers, *([settings.url] if settings.url else [])):
        if not url.startswith(("http://", "https://")) or url.endswith("/"):
            raise UsageError(f"{url!r} is not http://HOST:PORT or https://HOST:PORT")
    host, _ = parse_address(settings.listen)
    if not settings.url and host in {"", "0.0.0.0", "::"}:  # noqa: S104  # looked for, not listened on
        raise UsageError("it listens on every address: where do others call it?", hint="--url http://HOST:PORT")
    check_tls(settings.certificate, settings.key_file)
    if settings.patience <= 0:
        raise UsageError(f"patience = {settings.patience:g}: give the seconds that a request may wait for a leader")
    if min(settings.head_seconds, settings.still_seconds) <= 0:
        raise UsageError("head_seconds and still_seconds are above 0", hint="--head-seconds 60 --still-seconds 30")
    if settings.smart_sectors < 0 or settings.smart_seconds <= 0:
        raise UsageError("a disk may have 0 unreadable sectors or more, and is asked every so many seconds")
    if settings.torrents:
        find_host(settings.torrents)
        if settings.certificate is not None:
            raise UsageError("torrents are not encrypted: not with a certificate", hint="leave torrents = out")
        check_library()
