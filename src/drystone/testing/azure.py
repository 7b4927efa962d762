"""A real server of Azure's Blob service on loopback, for tests: Azurite, which scripts/azure-server installs.

with start_server(folder) as server:
    container = server.make_container()
    store = open_store(f"az://{container}", environ=server.environ())

docs/decisions/0043-azure-and-gcs-servers-for-tests.md says why it is this one. It keeps everything in memory, and lists
in pages of a thousand.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import http.client
import itertools
import os
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import formatdate
from pathlib import Path
from urllib.parse import quote

from drystone.base.errors import UnavailableError
from drystone.store.azure import EMULATED_ACCOUNT, EMULATED_KEY
from drystone.testing import server
from drystone.testing.server import CHECKOUT, READY_SECONDS, ServerProcess

ACCOUNT = "drystone"
KEY = base64.b64encode(b"writing-secret of a server that lives as long as a test").decode()

_VERSION = "2021-08-06"
_PROGRAM = Path(__file__).with_name("azure_server.js")
_READY = re.compile(r"successfully listens on http://127\.0\.0\.1:(\d+)")


def why_absent(checkout: Path = CHECKOUT) -> str:
    """Why the server cannot be started here, "" when it can."""
    return server.why_absent("azure-server", "Azure", checkout)


class AzureServer:
    """The server, empty at every start. Nothing runs until `start`.

    :ivar port: on 127.0.0.1; the same after every start.
    """

    def __init__(self, folder: Path, *, checkout: Path = CHECKOUT) -> None:
        self._folder = folder
        self._installed = checkout / ".azure-server"
        self._process = ServerProcess("Azure", folder / "log")
        self._numbers = itertools.count(1)
        self.port = 0
        self.kill = self._process.kill
        self.pause = self._process.pause
        self.resume = self._process.resume

    def start(self) -> None:
        """Start it, and wait until it answers. :raises UnavailableError: it does not."""
        options = ["--blobHost", "127.0.0.1", "--blobPort", str(self.port)]
        # Nothing is sent to anybody: neither its telemetry's code is installed, nor is it asked for.
        options += ["--inMemoryPersistence", "--silent", "--disableTelemetry", "--skipApiVersionCheck"]
        accounts = f"{ACCOUNT}:{KEY};{EMULATED_ACCOUNT}:{EMULATED_KEY}"
        environ = {**os.environ, "AZURITE_ACCOUNTS": accounts}
        command = [self._installed / "node", _PROGRAM, self._installed, *options]
        self.port = self._process.start(command, _read_port, environ)

    def environ(self, *, port: int = 0, key: str = KEY, signature: str = "", account: str = ACCOUNT) -> dict[str, str]:
        """Variables by which a store finds it, directly or at another port of 127.0.0.1.

        :param signature: a shared access signature, in the key's place.
        """
        settings = {
            "DefaultEndpointsProtocol": "http",
            "AccountName": account,
            "SharedAccessSignature" if signature else "AccountKey": signature or key,
            "BlobEndpoint": f"http://127.0.0.1:{port or self.port}/{account}",
        }
        connection = ";".join(f"{name}={value}" for name, value in settings.items())
        return {"AZURE_STORAGE_CONNECTION_STRING": connection, "NO_PROXY": "127.0.0.1"}

    def make_container(self, account: str = ACCOUNT, key: str = KEY) -> str:
        """The name of a new, empty container of ACCOUNT, or of EMULATED_ACCOUNT."""
        name = f"container-{next(self._numbers)}-{os.urandom(4).hex()}"
        date = formatdate(usegmt=True)
        # What is signed: Microsoft's "Authorize with Shared Key", of a request without a body.
        signed = [
            "PUT", *[""] * 11, f"x-ms-date:{date}", f"x-ms-version:{_VERSION}", f"/{account}/{account}/{name}",
            "restype:container",
        ]  # fmt: skip
        headers = {
            "x-ms-date": date,
            "x-ms-version": _VERSION,
            "Authorization": f"SharedKey {account}:{_sign(signed, key)}",
            "Content-Length": "0",
        }
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=READY_SECONDS)
        try:
            connection.request("PUT", f"/{account}/{name}?restype=container", headers=headers)
            answer = connection.getresponse()
            if answer.status != http.client.CREATED:
                raise UnavailableError(f"the Azure server made no container: {answer.status}")
        finally:
            connection.close()
        return name


def make_signature(rights: str, *, hours: float = 1.0) -> str:
    """A shared access signature of the account (Microsoft's "Create an account SAS") for containers and blobs.

    :param rights: of the letters r w d l a c. :param hours: until it expires; less than 0: since it did.
    """
    ends = (datetime.now(UTC) + timedelta(hours=hours)).strftime("%Y-%m-%dT%H:%M:%SZ")
    signed = [ACCOUNT, rights, "b", "sco", "", ends, "", "https,http", _VERSION, "", ""]
    fields = {"sv": _VERSION, "ss": "b", "srt": "sco", "sp": rights, "se": ends, "spr": "https,http"}
    fields["sig"] = _sign(signed)
    return "&".join(f"{name}={quote(text, safe='')}" for name, text in fields.items())


def _sign(lines: list[str], key: str = KEY) -> str:
    digest = hmac.new(base64.b64decode(key), "\n".join(lines).encode(), hashlib.sha256).digest()
    return base64.b64encode(digest).decode()


def _read_port(line: str) -> int | None:
    found = _READY.search(line)
    return int(found[1]) if found else None


@contextlib.contextmanager
def start_server(folder: Path) -> Iterator[AzureServer]:
    """A server, killed at the end. :param folder: for its log."""
    server = AzureServer(folder)
    try:
        server.start()
        yield server
    finally:
        server.kill()
