"""What a storage server is told once, when it starts: from a TOML file, flags, or both (flags win)."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Literal

import msgspec

from drystone.base.errors import NotFoundError, UsageError
from drystone.base.names import check_name
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


def load_settings(path: Path | None, flags: dict[str, object]) -> StorageSettings:
    """The settings of a file with what `flags` says instead (None: not given).

    :raises NotFoundError: there is no such file. :raises UsageError: it is no TOML, or a value is wrong or missing.
    """
    values: dict[str, object] = {}
    if path is not None:
        try:
            values = tomllib.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise NotFoundError(f"there is no configuration {path}") from error
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise UsageError(f"configuration {path}: {error}") from error
    values.update({name: value for name, value in flags.items() if value is not None})
    try:
        settings = msgspec.convert(values, StorageSettings, strict=False, dec_hook=_decode_path)
    except msgspec.ValidationError as error:
        raise UsageError(
            f"configuration of the storage server: {error}", hint="drystone fleet storage --help"
        ) from error
    check_settings(settings)
    return settings


def check_settings(settings: StorageSettings) -> None:
    """:raises UsageError: values that do not go together."""
    check_name(settings.id, "id of the server")
    if not settings.mappers:
        raise UsageError("no mapper is named", hint="--mapper http://HOST:PORT")
    for url in (*settings.mappers, *([settings.url] if settings.url else [])):
        if not url.startswith(("http://", "https://")) or url.endswith("/"):
            raise UsageError(f"{url!r} is not http://HOST:PORT or https://HOST:PORT")
    host, _ = parse_address(settings.listen)
    if not settings.url and host in {"", "0.0.0.0", "::"}:  # noqa: S104  # looked for, not listened on
        raise UsageError("it listens on every address: where do others call it?", hint="--url http://HOST:PORT")
    if (settings.certificate is None) != (settings.key_file is None):
        raise UsageError("a certificate and its key go together", hint="--certificate FILE --key-file FILE")


def _decode_path(kind: type, value: object) -> object:
    if kind is Path and isinstance(value, str | Path):
        return Path(value)
    raise TypeError(f"{value!r} is no {kind.__name__}")
