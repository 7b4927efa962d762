"""Options that the client's commands share: where the API is, how a write is made, and what its words may be."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from drystone.base.characters import DIGITS, is_made_of
from drystone.base.errors import UsageError
from drystone.base.names import check_name
from drystone.cli.output import Function, tell
from drystone.cli.servers import credential_option, servers_option

if TYPE_CHECKING:
    from drystone.cluster.client.api import Api, Sender

_TOKEN = Path("/etc/drystone/cluster.token")
_YEAR = 31_536_000.0
"""Seconds."""
_LONGEST = 100
"""Characters of a key, and of an operator's words."""


@dataclass(frozen=True, slots=True)
class Where:
    """The API. :ivar urls: of its servers. :ivar token: the file with our token. :ivar authority: PEM, or None.

    :ivar patience: seconds that a request is repeated for while nobody answers. :ivar seconds: that an answer may take.
    :ivar servers: in the place of those at the URLs: what the caller put into click's context.
    """

    urls: tuple[str, ...]
    token: Path
    authority: Path | None
    patience: float
    seconds: float
    servers: tuple[Sender, ...] = ()

    def open(self) -> Api:
        """Its client. :raises DrystoneError: a URL or a file cannot be used."""
        from drystone.cluster.client.api import Api
        from drystone.cluster.token_file import read_token

        return Api(self.connect(), read_token(self.token), patience=self.patience, told=tell)

    def connect(self) -> list[Sender]:
        """Its servers. :raises UsageError: there is none; a URL, or the authority's file, cannot be used."""
        from drystone.cluster.connection import Connection, trusting

        if not self.urls:
            raise UsageError("no API server is named", hint="--api URL, or DRYSTONE_CLUSTER_API")
        tls = trusting(self.authority) if any(url.startswith("https:") for url in self.urls) else None
        given = list(self.servers)
        return given or [Connection("the API", url, tls=tls, seconds=self.seconds) for url in self.urls]


@dataclass(frozen=True, slots=True)
class Writing:
    """How a write is made. :ivar key: of idempotency, "" for a new one. :ivar waits: until it is so, :ivar seconds: at
    most; 0: for any time."""

    key: str
    dry_run: bool
    waits: bool = False
    seconds: float = 0.0


class Seconds(click.ParamType[float]):
    """A number of seconds, of a year at most. :param least: of them."""

    name = "seconds"

    def __init__(self, least: float = 0.0) -> None:
        self._least = least

    def convert(self, value: Any, _param: click.Parameter | None, _ctx: click.Context | None) -> float:
        """:raises UsageError: it is none."""
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if not self._least <= number <= _YEAR:
            raise UsageError(f"{str(value)[:40]!r} is no number of seconds from {self._least:g} to {_YEAR:g}")
        return number


def api_options(function: Function) -> Function:
    """`--api`, `--token`, `--authority`, `--patience` and `--answer-seconds`, as the parameter `where`."""

    @click.option(
        "--answer-seconds",
        type=Seconds(least=0.1),
        default=30.0,
        show_default=True,
        help="That a server may take to answer.",
    )
    @click.option(
        "--patience",
        type=Seconds(),
        default=10.0,
        show_default=True,
        help="Seconds for which a request is repeated while no server answers.",
    )
    @click.option(
        "--authority",
        type=click.Path(path_type=Path),
        envvar="DRYSTONE_CLUSTER_AUTHORITY",
        show_envvar=True,
        help="PEM of who vouches for the API's certificate.  [default: the machine's authorities]",
    )
    @credential_option("--token", default=_TOKEN, variable="DRYSTONE_CLUSTER_TOKEN", what="your token")
    @servers_option(
        "--api", "apis", default="http://127.0.0.1:9300", variable="DRYSTONE_CLUSTER_API", what="an API server"
    )
    @functools.wraps(function)
    def command(
        *given: Any,
        apis: tuple[str, ...],
        token: Path,
        authority: Path | None,
        patience: float,
        answer_seconds: float,
        **others: Any,
    ) -> Any:
        servers: tuple[Sender, ...] = click.get_current_context().find_object(tuple) or ()
        return function(*given, where=Where(apis, token, authority, patience, answer_seconds, servers), **others)

    return cast("Function", command)  # fmt: skip


def _check_key(_context: click.Context, _option: click.Parameter, value: str) -> str:
    if value and not (value.isascii() and value.isprintable() and " " not in value and len(value) <= _LONGEST):
        raise UsageError(f"a key is 1 to {_LONGEST} printable characters without blanks")
    return value


def write_options(function: Function) -> Function:
    """`--key` and `--dry-run`, as the parameter `writing`."""

    @click.option("--dry-run", is_flag=True, help="Print the calls that would be made, and change nothing.")
    @click.option(
        "--key",
        default="",
        callback=_check_key,
        help="Idempotency key: the same command with the same key is done once.  [default: a new one]",
    )
    @functools.wraps(function)
    def command(*given: Any, key: str, dry_run: bool, **others: Any) -> Any:
        return function(*given, writing=Writing(key, dry_run), **others)

    return cast("Function", command)  # fmt: skip


def lasting_options(function: Function) -> Function:
    """Those of `write_options`, `--wait` and `--timeout`, as the parameter `writing`."""

    @timeout_option
    @click.option("--wait", "waits", is_flag=True, help="Until it is so, and show how it stands meanwhile.")
    @write_options
    @functools.wraps(function)
    def command(*given: Any, writing: Writing, waits: bool, timeout: float, **others: Any) -> Any:
        return function(*given, writing=Writing(writing.key, writing.dry_run, waits, timeout), **others)

    return cast("Function", command)


def timeout_option(function: Function) -> Function:
    """`--timeout`."""
    return click.option(
        "--timeout", type=Seconds(), default=600.0, show_default=True,
        help="Seconds that are waited; 0: any number.",
    )(function)  # fmt: skip


class Name(click.ParamType[str]):
    """A name of something in the cluster. :param what: of what, for errors."""

    name = "name"

    def __init__(self, what: str) -> None:
        self._what = what

    def convert(self, value: Any, _param: click.Parameter | None, _ctx: click.Context | None) -> str:
        """:raises UsageError: nothing can have that name."""
        return check_name(value, self._what)


class Words(click.ParamType[str]):
    """An operator's words: ASCII, for logs and tables."""

    name = "words"

    def convert(self, value: Any, _param: click.Parameter | None, _ctx: click.Context | None) -> str:
        """:raises UsageError: they are longer than 100 characters, or have others than the printable ones of ASCII."""
        if len(value) > _LONGEST or not value.isascii() or not value.isprintable():
            raise UsageError(f"{value[:40]!r} is not up to {_LONGEST} printable characters of ASCII")
        return str(value)


class Size(click.ParamType[int]):
    """Bytes, as 10G."""

    name = "size"

    def convert(self, value: Any, _param: click.Parameter | None, _ctx: click.Context | None) -> int:
        """:raises UsageError: it is no size."""
        from drystone.base.sizes import parse_size

        return value if isinstance(value, int) else parse_size(value)


class Address(click.ParamType[str]):
    """HOST:PORT."""

    name = "host:port"

    def convert(self, value: Any, _param: click.Parameter | None, _ctx: click.Context | None) -> str:
        """:raises UsageError: it is none."""
        host, _, port = value.rpartition(":")
        fits = host and host.isascii() and host.isprintable() and " " not in host and is_made_of(port, DIGITS, 5)
        if not fits or not 0 < int(port) < 1 << 16 or (":" in host and not host.startswith("[")):
            raise UsageError(f"{value[:80]!r} is not HOST:PORT", hint="write 10.0.0.1:9400 or [fd00::1]:9400")
        return str(value)


DPV, DVG, IHOST, DLV, SNAPSHOT, JOB, BACKUP, REPOSITORY = (
    Name(each) for each in ("dpv", "dvg", "ihost", "dlv", "snapshot", "job", "backup", "repository")
)
