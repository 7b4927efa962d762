"""A real S3 server on loopback, for tests: started, killed, stopped in its tracks, started again over the same disk.

with start_server(folder) as server:
    bucket = server.make_bucket()
    store = open_store(f"s3://{bucket}", environ=server.environ())

The server is OpenStack Swift (docs/decisions/0031-s3-server-for-tests.md), which scripts/s3-server installs.
"""

from __future__ import annotations

import contextlib
import http.client
import itertools
import json
import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import obstore
from obstore.store import S3Store

from drystone.base.errors import UnavailableError
from drystone.testing import server
from drystone.testing.server import CHECKOUT, READY_SECONDS, ServerProcess

KEY = "test:writer"
SECRET = "writing-secret"  # noqa: S105 - of a server that lives as long as a test
STRANGER = "test:stranger"
STRANGER_SECRET = "reading-secret"  # noqa: S105

_PROGRAM = Path(__file__).with_name("swift_server.py")


def why_absent(checkout: Path = CHECKOUT) -> str:
    """Why the server cannot be started here, "" when it can."""
    return server.why_absent("s3-server", "S3", checkout)


class S3Server:
    """The server over one folder. Nothing runs until `start`.

    :ivar folder: what it keeps and its log. :ivar port: of its S3 interface on 127.0.0.1; the same after every start.
    """

    def __init__(self, folder: Path, *, ahead: float = 0.0, checkout: Path = CHECKOUT) -> None:
        self.folder = folder
        self._ahead = ahead
        self._python = checkout / ".s3-server" / "bin" / "python"
        self._process = ServerProcess("S3", folder / "log")
        self._numbers = itertools.count(1)
        self.port = 0
        self.kill = self._process.kill
        self.pause = self._process.pause
        self.resume = self._process.resume

    @property
    def endpoint(self) -> str:
        """Its URL."""
        return f"http://127.0.0.1:{self.port}"

    def environ(self, *, endpoint: str = "", key: str = KEY, secret: str = SECRET) -> dict[str, str]:
        """Variables by which a store finds it, directly or at `endpoint`, and no file of the user's."""
        return {
            "AWS_ENDPOINT_URL": endpoint or self.endpoint,
            "AWS_ACCESS_KEY_ID": key,
            "AWS_SECRET_ACCESS_KEY": secret,
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "NO_PROXY": "127.0.0.1",
        }

    def start(self) -> None:
        """Start it, and wait until it answers. :raises UnavailableError: it does not."""
        self.folder.mkdir(parents=True, exist_ok=True)
        command = [self._python, "-P", _PROGRAM, self.folder, str(self.port), str(self._ahead)]
        self.port = self._process.start(command, _read_port)

    def make_bucket(self) -> str:
        """The name of a new, empty bucket."""
        name = f"bucket-{next(self._numbers)}-{os.urandom(4).hex()}"
        # obstore makes no buckets; but it signs a request for the object "", which is the bucket.
        client = S3Store(
            name,
            endpoint=self.endpoint,
            region="us-east-1",
            access_key_id=KEY,
            secret_access_key=SECRET,
            client_options={"allow_http": True},
        )
        url = urlsplit(obstore.sign(client, "PUT", "", timedelta(minutes=5)))
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=READY_SECONDS)
        try:
            connection.request("PUT", f"{url.path}?{url.query}")
            answer = connection.getresponse()
            if answer.status != http.client.OK:
                raise UnavailableError(f"the S3 server made no bucket: {answer.status}")
        finally:
            connection.close()
        return name


def _read_port(line: str) -> int:
    return int(json.loads(line)["port"])


@contextlib.contextmanager
def start_server(folder: Path, *, ahead: float = 0.0) -> Iterator[S3Server]:
    """A server over `folder`, killed at the end. :param ahead: seconds by which its clock is before the machine's."""
    server = S3Server(folder, ahead=ahead)
    try:
        server.start()
        yield server
    finally:
        server.kill()
