"""What a server is told once, when it starts: a TOML file, flags, or both (flags win)."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import TypeVar

import msgspec

from drystone.base.errors import NotFoundError, UsageError

Settings = TypeVar("Settings", bound=msgspec.Struct)


def load(kind: type[Settings], path: Path | None, flags: dict[str, object], what: str, *, hint: str) -> Settings:
    """The settings, a Struct of `kind`, of a file with what `flags` says instead (None: not given).

    :param what: the server that they are of, :param hint: what helps with them: both for errors.
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
        return msgspec.convert(values, kind, strict=False, dec_hook=_decode_path)
    except msgspec.ValidationError as error:
        raise UsageError(f"configuration of the {what}: {error}", hint=hint) from error


def check_tls(certificate: Path | None, key_file: Path | None) -> None:
    """:raises UsageError: one is given without the other."""
    if (certificate is None) != (key_file is None):
        raise UsageError("a certificate and its key go together", hint="--certificate FILE --key-file FILE")


def check_url(url: str) -> None:
    """:raises UsageError: it is no address of a server."""
    if not url.startswith(("http://", "https://")) or url.endswith("/"):
        raise UsageError(f"{url!r} is not http://HOST:PORT or https://HOST:PORT")


def _decode_path(kind: type, value: object) -> object:
    if kind is Path and isinstance(value, str | Path):
        return Path(value)
    raise TypeError(f"{value!r} is no {kind.__name__}")
