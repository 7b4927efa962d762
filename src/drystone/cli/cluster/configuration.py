"""What the cluster's servers are told once, when they start: from TOML files, flags, or both (flags win)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import msgspec

from drystone.base.configuration import check_tls, load
from drystone.base.errors import UsageError
from drystone.cluster.agents.repository_settings import RepositorySettings
from drystone.wire.tcp import TlsFiles, is_loopback, parse_address

if TYPE_CHECKING:
    from drystone.cluster.agents.door import MutualTls
    from drystone.cluster.connection import ClientTls

Kind = TypeVar("Kind", bound=msgspec.Struct)

_DATABASE = "sqlite:////var/lib/drystone/cluster/cluster.db"
_CERT = "`drystone cluster cert --help`"


class ApiConfiguration(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The settings of an API server; the names are those of the TOML file.

    :ivar listen: HOST:PORT. :ivar database: `sqlite:///PATH`, `postgresql://...` or `mariadb://...`. :ivar tokens: file
        of those who may ask. :ivar certificate: PEM file, with :ivar key_file: its key, for https.
    :ivar plain: without TLS also where others can reach it: something before it has TLS.
    :ivar queue: URL of RabbitMQ or Redis, by which monitors hear of changes; the database when "".
    """

    listen: str = "127.0.0.1:9300"
    database: str = _DATABASE
    queue: str = ""
    tokens: Path = Path("/etc/drystone/cluster-tokens.toml")
    certificate: Path | None = None
    key_file: Path | None = None
    plain: bool = False

    def tls(self) -> TlsFiles | None:
        """Its files, None without. :raises UsageError: one is missing, or both where others can reach it."""
        check_tls(self.certificate, self.key_file)
        if self.certificate is not None and self.key_file is not None:
            return TlsFiles(self.certificate, self.key_file)
        if not self.plain and not is_loopback(parse_address(self.listen)[0]):
            raise UsageError(
                f"on {self.listen} others could read tokens on their way",
                hint=f"--certificate FILE --key-file FILE ({_CERT}), or --plain behind a proxy",
            )
        return None


class AgentConfiguration(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What agents of both kinds are told.

    :ivar listen: HOST:PORT. :ivar folder: of its notes, on a disk. :ivar certificate: PEM file, with :ivar key_file:
        its key. :ivar clients: PEM of the authority whose clients are let in. :ivar plain: without TLS, on loopback.
    :ivar metrics: HOST:PORT for Prometheus, plain HTTP; "" for nowhere.
    """

    listen: str
    folder: Path
    certificate: Path | None = None
    key_file: Path | None = None
    clients: Path | None = None
    plain: bool = False
    metrics: str = ""

    def tls(self) -> MutualTls | None:
        """Its files, None without. :raises UsageError: some are given and others not."""
        from drystone.cluster.agents.door import MutualTls

        if self.certificate is not None and self.key_file is not None and self.clients is not None:
            return MutualTls(self.certificate, self.key_file, self.clients)
        if self.plain and self.certificate is None and self.key_file is None and self.clients is None:
            return None
        raise UsageError(
            "an agent needs a certificate, its key, and the authority whose clients it lets in",
            hint=f"--certificate FILE --key-file FILE --clients FILE ({_CERT}), or --plain on loopback",
        )


class DpvConfiguration(AgentConfiguration, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The settings of a dpv's agent.

    :ivar disk: block device with the legs. :ivar portals: ADDRESS:PORT at which its iSCSI targets listen.
    """

    disk: str
    portals: tuple[str, ...]
    listen: str = "127.0.0.1:9400"
    folder: Path = Path("/var/lib/drystone/dpv")


class IhostConfiguration(AgentConfiguration, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The settings of an ihost's agent.

    :ivar name: of this ihost, as the cluster calls it. :ivar api: its URL. :ivar token: file with this agent's token.
    :ivar authority: PEM of who vouches for the API; the machine's authorities when None. :ivar logs: of mirrors, in a
        folder on a tmpfs; None: the usual one. :ivar repositories: that it backs volumes up to, a table each.
    """

    name: str
    api: str = "http://127.0.0.1:9300"
    token: Path = Path("/etc/drystone/ihost.token")
    authority: Path | None = None
    logs: Path | None = None
    listen: str = "127.0.0.1:9401"
    folder: Path = Path("/var/lib/drystone/ihost")
    repositories: dict[str, RepositorySettings] = {}


class MonitorConfiguration(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The settings of a monitor.

    :ivar database: the API's. :ivar name: among monitors; host and process when "". :ivar certificate: PEM file, made
        for clients, with :ivar key_file: its key and :ivar authority: of agents' certificates.
    :ivar pause: seconds between two rounds. :ivar patience: rounds that a host may be silent for.
    :ivar queue: the API's. :ivar metrics: HOST:PORT for Prometheus, plain HTTP; "" for nowhere.
    """

    database: str = _DATABASE
    queue: str = ""
    name: str = ""
    certificate: Path | None = None
    key_file: Path | None = None
    authority: Path | None = None
    pause: float = 1.0
    patience: int = 10
    metrics: str = ""

    def tls(self) -> ClientTls | None:
        """Its files, None without. :raises UsageError: some are given and others not."""
        from drystone.cluster.connection import ClientTls

        if self.certificate is not None and self.key_file is not None and self.authority is not None:
            return ClientTls(self.certificate, self.key_file, self.authority)
        if self.certificate is None and self.key_file is None and self.authority is None:
            return None
        raise UsageError(
            "a certificate, its key and the authority of agents go together",
            hint=f"--certificate FILE --key-file FILE --authority FILE ({_CERT})",
        )

    def check(self) -> None:
        """:raises UsageError: it could not work so."""
        if not 0.05 <= self.pause <= 3600 or not 1 <= self.patience <= 100_000:
            raise UsageError("a monitor pauses for 0.05 to 3600 seconds, and is patient for 1 to 100000 rounds")


_NAMES: dict[type[msgspec.Struct], tuple[str, str]] = {
    ApiConfiguration: ("API server", "api"),
    DpvConfiguration: ("dpv's agent", "dpv"),
    IhostConfiguration: ("ihost's agent", "ihost"),
    MonitorConfiguration: ("monitor", "monitor"),
}


def load_as(kind: type[Kind], path: Path | None, flags: dict[str, object]) -> Kind:
    """The settings of a kind.

    :raises NotFoundError: there is no such file. :raises UsageError: it is no TOML, or a value is wrong or missing.
    """
    what, command = _NAMES[kind]
    return load(kind, path, flags, what, hint=f"drystone cluster {command} --help")
