"""An agent over HTTP: its routes, what is refused and how, and who gets in."""

from __future__ import annotations

import asyncio
import datetime as dt
import http.client
import json
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from threading import Event, Thread
from urllib.parse import urlsplit

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from drystone.base.errors import UsageError
from drystone.cluster.agents.door import BODY_LIMIT, Agent, MutualTls, serve_agent
from drystone.testing.cluster.bench import DLV, HOST, DpvHost, legs_wishes, make_dlv


@contextmanager
def served(agent: Agent, *, tls: MutualTls | None = None) -> Iterator[str]:
    """The agent at a URL."""
    urls: list[str] = []
    ready = Event()
    ends: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    async def serve() -> None:
        async with serve_agent(agent, "127.0.0.1:0", tls=tls, plain=tls is None) as url:
            urls.append(url)
            ends.append((asyncio.get_running_loop(), asyncio.Event()))
            ready.set()
            await ends[0][1].wait()

    thread = Thread(target=lambda: asyncio.run(serve()), daemon=True)
    thread.start()
    assert ready.wait(30)
    try:
        yield urls[0]
    finally:
        loop, end = ends[0]
        loop.call_soon_threadsafe(end.set)
        thread.join(30)


def ask(
    url: str, method: str, path: str, body: bytes | None = None, tls: ssl.SSLContext | None = None
) -> tuple[int, object]:
    parts = urlsplit(url)
    assert parts.hostname
    connection = (
        http.client.HTTPSConnection(parts.hostname, parts.port, timeout=30, context=tls)
        if tls
        else http.client.HTTPConnection(parts.hostname, parts.port, timeout=30)
    )
    try:
        connection.request(method, path, body)
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


@pytest.fixture
def host(tmp_path: Path) -> DpvHost:
    return DpvHost(tmp_path / "dpv0", "127.0.0.1:3261")


def wish(epoch: int = 1, initiators: tuple[str, ...] = (HOST,)) -> bytes:
    return msgspec.json.encode(legs_wishes(make_dlv(epoch=epoch), initiators)["dpv0"])


def test_a_wish_goes_in_and_what_is_seen_comes_out(host: DpvHost) -> None:
    with served(host.agent) as url:
        status, seen = ask(url, "PUT", f"/v1/dlvs/{DLV}", wish())
        assert status == 200
        assert ask(url, "GET", f"/v1/dlvs/{DLV}") == (200, seen)
        assert ask(url, "GET", "/v1/dlvs") == (200, {"dlvs": {DLV: 1}, "troubles": {}, "unknown": []})
        assert ask(url, "GET", "/v1/health") == (200, {"status": "ok"})
    assert isinstance(seen, dict)
    assert [each["exported"] for each in seen["legs"]] == [True, True]


def test_an_older_epoch_is_a_conflict(host: DpvHost) -> None:
    with served(host.agent) as url:
        ask(url, "PUT", f"/v1/dlvs/{DLV}", wish(5))
        for late in (wish(4), wish(5, ())):
            status, problem = ask(url, "PUT", f"/v1/dlvs/{DLV}", late)
            assert status == 409
            assert isinstance(problem, dict)
            assert (problem["code"], problem["facts"]) == ("mismatch", {"epoch": 5})


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code"),
    [
        ("PUT", f"/v1/dlvs/{DLV}", b"", 400, "usage"),
        ("PUT", f"/v1/dlvs/{DLV}", b"[" * 100_000, 400, "usage"),
        ("PUT", f"/v1/dlvs/{DLV}", b"\xff\xfe", 400, "usage"),
        ("PUT", f"/v1/dlvs/{DLV}", b"{}", 400, "usage"),
        ("PUT", f"/v1/dlvs/{DLV}", b" " * (BODY_LIMIT + 1), 400, "usage"),
        ("PUT", "/v1/dlvs/another", wish(), 400, "usage"),
        ("PUT", f"/v1/dlvs/{DLV}", wish().replace(b'"kind":"legs"', b'"kind":"volume"'), 400, "usage"),
        ("GET", "/v1/dlvs/unknown", None, 404, "not-found"),
        ("GET", "/v1/dlvs/..%2f..%2fetc%2fpasswd", None, 400, "usage"),
        ("DELETE", f"/v1/dlvs/{DLV}", None, 404, "not-found"),
        ("GET", "/", None, 404, "not-found"),
    ],
)
def test_what_is_wrong_is_a_problem_and_changes_nothing(
    host: DpvHost, method: str, path: str, body: bytes | None, status: int, code: str
) -> None:
    with served(host.agent) as url:
        answer = ask(url, method, path, body)
        assert answer[0] == status
        assert isinstance(answer[1], dict)
        assert answer[1]["code"] == code
        assert ask(url, "GET", "/v1/health")[0] == 200
    assert host.agent.survey().dlvs == {}


def test_a_failure_below_is_told_and_the_next_call_goes_on(host: DpvHost) -> None:
    (host.folder / "disk").rename(host.folder / "away")
    with served(host.agent) as url:
        status, _ = ask(url, "PUT", f"/v1/dlvs/{DLV}", wish())
        assert status == 404
        (host.folder / "away").rename(host.folder / "disk")
        assert ask(url, "PUT", f"/v1/dlvs/{DLV}", wish())[0] == 200


@pytest.mark.parametrize(("listen", "plain"), [("127.0.0.1:0", False), ("0.0.0.0:0", True), (":0", True)])
def test_it_is_not_served_plainly_unasked_or_to_others(host: DpvHost, listen: str, plain: bool) -> None:
    async def serve() -> None:
        async with serve_agent(host.agent, listen, plain=plain):
            raise AssertionError("it is served")

    with pytest.raises(UsageError, match="certificate"):
        asyncio.run(serve())


@dataclass
class Authority:
    """Certificates of one authority. :ivar path: its own."""

    path: Path

    def __post_init__(self) -> None:
        self.path.mkdir()
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, self.path.name)])
        builder = self._builder(self.name, self.key).add_extension(
            x509.BasicConstraints(ca=True, path_length=0), critical=True
        )
        self.certificate = self.path / "authority.pem"
        self._write(self.certificate, builder)

    def issue(self, name: str, usage: x509.ObjectIdentifier) -> tuple[Path, Path]:
        """A certificate and its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        builder = self._builder(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]), key)
        builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        address = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
        certificate, key_file = self.path / f"{name}.pem", self.path / f"{name}.key"
        self._write(certificate, builder.add_extension(address, critical=False))
        form = serialization.PrivateFormat.PKCS8
        key_file.write_bytes(key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()))
        return certificate, key_file

    def _builder(self, name: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        now = dt.datetime.now(dt.UTC)
        builder = x509.CertificateBuilder().subject_name(name).issuer_name(self.name).public_key(key.public_key())
        day = dt.timedelta(days=1)
        return builder.serial_number(x509.random_serial_number()).not_valid_before(now - day).not_valid_after(now + day)

    def _write(self, path: Path, builder: x509.CertificateBuilder) -> None:
        path.write_bytes(builder.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))


def test_only_a_client_of_the_authority_gets_in(host: DpvHost, tmp_path: Path) -> None:
    ours, others = Authority(tmp_path / "ours"), Authority(tmp_path / "others")
    tls = MutualTls(*ours.issue("dpv0", ExtendedKeyUsageOID.SERVER_AUTH), clients=ours.certificate)

    def context(certificate: tuple[Path, Path] | None) -> ssl.SSLContext:
        made = ssl.create_default_context(cafile=str(ours.certificate))
        if certificate:
            made.load_cert_chain(*certificate)
        return made

    with served(host.agent, tls=tls) as url:
        api = context(ours.issue("api", ExtendedKeyUsageOID.CLIENT_AUTH))
        assert ask(url, "PUT", f"/v1/dlvs/{DLV}", wish(), api)[0] == 200
        strangers = [
            None,
            others.issue("api", ExtendedKeyUsageOID.CLIENT_AUTH),
            ours.issue("dpv1", ExtendedKeyUsageOID.SERVER_AUTH),
        ]
        for certificate in strangers:
            with pytest.raises((ssl.SSLError, ConnectionError, http.client.HTTPException)):
                ask(url, "PUT", f"/v1/dlvs/{DLV}", wish(2, ()), context(certificate))
    assert host.agent.look(DLV).epoch == 1
