"""Who may ask: tokens from a file, each with a name and a role."""

from __future__ import annotations

import hashlib
import hmac
import stat
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import msgspec

from drystone.base.errors import NotFoundError, UsageError
from drystone.base.names import check_name

Role = Literal["operator", "viewer", "agent"]

_SHORTEST = 16


class Caller(msgspec.Struct, frozen=True):
    """Who asks. :ivar role: an operator may do everything, a viewer may look.

    An agent has the name of its host, and speaks for that one only.
    """

    name: str
    role: Role


class _Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    token: str
    role: Role = "operator"


class Tokens:
    """The callers that are known. :param entries: token to caller."""

    def __init__(self, entries: Mapping[str, Caller]) -> None:
        self._callers = {_digest(token): caller for token, caller in entries.items()}

    def find(self, header: str) -> Caller | None:
        """Whose an `Authorization` header is; None for a stranger's. What it takes tells nothing of any token."""
        scheme, _, token = header.partition(" ")
        given = _digest(token.strip())
        found = None
        for digest, caller in self._callers.items():
            if hmac.compare_digest(digest, given):
                found = caller
        return found if scheme.lower() == "bearer" else None


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "replace")).digest()


def load_tokens(path: Path) -> Tokens:
    """Tokens from a TOML file that others cannot read: a table a caller, with `token` and perhaps `role`.

    :raises NotFoundError: there is no such file. :raises UsageError: it is readable by all, or wrong.
    """
    try:
        if path.stat().st_mode & stat.S_IRWXO:
            raise UsageError(f"token file {path} is open to everybody", hint=f"chmod o= {path}")
        table = tomllib.loads(path.read_text(encoding="utf-8"))
        entries = msgspec.convert(table, dict[str, _Entry])
    except FileNotFoundError as error:
        raise NotFoundError(f"there is no token file {path}") from error
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise UsageError(f"token file {path}: {error}") from error
    callers: dict[str, Caller] = {}
    for name, entry in entries.items():
        check_name(name, "caller")
        token = entry.token
        if len(token) < _SHORTEST or not token.isascii() or not token.isprintable() or " " in token:
            raise UsageError(f"{path}: the token of {name} is not {_SHORTEST} or more printable characters")
        if token in callers:
            raise UsageError(f"{path}: {name} has the token of {callers[token].name}")
        callers[token] = Caller(name, entry.role)
    if not callers:
        raise UsageError(f"{path} has no token in it", hint='[alice]\ntoken = "..."')
    return Tokens(callers)
