"""Certificates: who trusts whom, by TLS handshakes in memory."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from drystone.base.errors import DamagedError, UsageError
from drystone.cluster.agents.door import MutualTls
from drystone.cluster.certificates import Issued, issue, make_authority, read, revoke
from drystone.cluster.connection import ClientTls, trusting

NOW = datetime.now(UTC)
STRICT = ssl.VERIFY_X509_STRICT


def put(folder: Path, name: str, made: Issued) -> tuple[Path, Path]:
    files = folder / f"{name}.pem", folder / f"{name}.key"
    files[0].write_bytes(made.certificate)
    files[1].write_bytes(made.key)
    return files


def shake(server: ssl.SSLContext, client: ssl.SSLContext, name: str) -> None:
    """Do a handshake, and send a byte. :raises ssl.SSLError: one of the two refuses."""
    pipes = [ssl.MemoryBIO() for _ in range(2)]
    ends = [
        server.wrap_bio(pipes[0], pipes[1], server_side=True),
        client.wrap_bio(pipes[1], pipes[0], server_hostname=name),
    ]
    left = list(ends)
    for _ in range(20):
        for each in list(left):
            try:
                each.do_handshake()
                left.remove(each)
            except ssl.SSLWantReadError:
                continue
        if not left:
            ends[1].write(b"x")
            assert ends[0].read(1) == b"x"
            return
    raise AssertionError("no end")


def serve(folder: Path, name: str, made: Issued, clients: Issued | None = None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*put(folder, name, made))
    if clients is not None:
        context.load_verify_locations(cadata=clients.certificate.decode())
        context.verify_mode = ssl.CERT_REQUIRED
        context.verify_flags |= STRICT
    return context


def call(folder: Path, authority: Issued, own: Issued | None = None) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=authority.certificate.decode())
    context.verify_flags |= STRICT
    if own is not None:
        context.load_cert_chain(*put(folder, "own", own))
    return context


@pytest.fixture(scope="module")
def authority() -> Issued:
    return make_authority("ours", days=10, now=NOW)


def test_a_server_is_trusted_at_its_addresses_by_who_trusts_the_authority(authority: Issued, tmp_path: Path) -> None:
    made = issue(authority, "api1", "server", ["10.0.0.5", "api.example", "::1"], days=2, now=NOW)
    for name in ("10.0.0.5", "api.example", "::1"):
        shake(serve(tmp_path, "api", made), call(tmp_path, authority), name)
    with pytest.raises(ssl.SSLCertVerificationError, match=r"not valid for '10\.0\.0\.6'"):
        shake(serve(tmp_path, "api", made), call(tmp_path, authority), "10.0.0.6")
    stranger = make_authority("ours", days=10, now=NOW)
    with pytest.raises(ssl.SSLCertVerificationError):
        shake(serve(tmp_path, "api", made), call(tmp_path, stranger), "10.0.0.5")


def test_an_agent_lets_in_clients_of_its_authority_only(authority: Issued, tmp_path: Path) -> None:
    agent = issue(authority, "d1", "server", ["10.0.0.1"], days=2, now=NOW)
    monitor = issue(authority, "m1", "client", [], days=2, now=NOW)
    shake(serve(tmp_path, "d1", agent, authority), call(tmp_path, authority, monitor), "10.0.0.1")
    stranger = issue(make_authority("ours", days=10, now=NOW), "m1", "client", [], days=2, now=NOW)
    for wrong in (None, agent, stranger):
        with pytest.raises(ssl.SSLError):
            shake(serve(tmp_path, "d1", agent, authority), call(tmp_path, authority, wrong), "10.0.0.1")


def test_a_client_is_no_server_and_what_has_ended_counts_no_more(authority: Issued, tmp_path: Path) -> None:
    client = issue(authority, "m1", "client", ["10.0.0.1"], days=2, now=NOW)
    ended = issue(authority, "api1", "server", ["10.0.0.1"], days=1, now=NOW - timedelta(days=2))
    for wrong in (client, ended):
        with pytest.raises(ssl.SSLCertVerificationError):
            shake(serve(tmp_path, "wrong", wrong), call(tmp_path, authority), "10.0.0.1")


def test_what_was_revoked_is_refused_by_agents_and_by_clients_and_the_rest_is_not(
    authority: Issued, tmp_path: Path
) -> None:
    """By the contexts that agents, monitors and the API's clients have, out of one file."""
    agent, lost_agent = (issue(authority, name, "server", ["10.0.0.1"], days=2, now=NOW) for name in ("d1", "d2"))
    monitor, lost = (issue(authority, name, "client", [], days=2, now=NOW) for name in ("m1", "m2"))
    once = Issued(revoke(authority, [lost.certificate], now=NOW), authority.key)
    twice = revoke(once, [lost_agent.certificate, lost.certificate], now=NOW)
    file = tmp_path / "authority.pem"
    file.write_bytes(twice)
    assert set(read(twice).revoked) == {read(each.certificate).serial for each in (lost, lost_agent)}

    def meet(server: Issued, client: Issued) -> None:
        door = MutualTls(*put(tmp_path, "server", server), file).context()
        shake(door, ClientTls(*put(tmp_path, "client", client), file).context(), "10.0.0.1")

    meet(agent, monitor)
    for wrong in ((agent, lost), (lost_agent, monitor)):
        with pytest.raises(ssl.SSLError):
            meet(*wrong)
    with pytest.raises(ssl.SSLCertVerificationError, match="revoked"):
        shake(serve(tmp_path, "lost", lost_agent), trusting(file), "10.0.0.1")
    assert read(issue(Issued(twice, authority.key), "d3", "server", ["a"], days=2, now=NOW).certificate).name == "d3"


def test_only_certificates_of_the_authority_are_revoked(authority: Issued) -> None:
    stranger = make_authority("ours", days=10, now=NOW)
    for wrong in (stranger.certificate, issue(stranger, "m1", "client", [], days=2, now=NOW).certificate, b"no PEM"):
        with pytest.raises(UsageError, match="no certificate of this authority"):
            revoke(authority, [wrong], now=NOW)
    with pytest.raises(UsageError, match="the authority itself"):
        revoke(authority, [authority.certificate], now=NOW)
    broken = authority.certificate + b"-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n"
    with pytest.raises(UsageError, match="no authority"):
        revoke(Issued(broken, authority.key), [], now=NOW)
    with pytest.raises(DamagedError):
        read(broken)


def test_what_a_certificate_says(authority: Issued) -> None:
    told = read(issue(authority, "api1", "server", ["10.0.0.5", "api.example"], days=2, now=NOW).certificate)
    assert (told.name, told.issuer, told.purposes) == ("api1", "ours", ("server",))
    assert told.addresses == ("10.0.0.5", "api.example")
    assert told.until == (NOW + timedelta(days=2)).replace(microsecond=0)
    assert read(authority.certificate).purposes == ("authority",)


@pytest.mark.parametrize("address", ["", "a b", "-x", "10.0.0.1/8", "http://a", "a" * 300, "ü.example"])
def test_an_address_that_is_none_is_refused(authority: Issued, address: str) -> None:
    with pytest.raises(UsageError, match="neither a host's name"):
        issue(authority, "api1", "server", [address], days=2, now=NOW)


def test_what_is_no_authority_issues_nothing(authority: Issued) -> None:
    made = issue(authority, "api1", "server", ["a.example"], days=2, now=NOW)
    other = make_authority("other", days=2, now=NOW)
    broken = Issued(b"no PEM", b"no PEM")
    for wrong in (made, Issued(authority.certificate, other.key), broken, Issued(authority.certificate, b"")):
        with pytest.raises(UsageError, match="no authority"):
            issue(wrong, "api2", "server", ["a.example"], days=2, now=NOW)
    with pytest.raises(UsageError, match="names the addresses"):
        issue(authority, "api1", "server", [], days=2, now=NOW)


@pytest.mark.parametrize("data", [b"", b"\xff" * 99, b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_what_is_no_certificate_is_refused(data: bytes) -> None:
    with pytest.raises(DamagedError, match="no certificate"):
        read(data)
