"""Stores behind TLS with an authority of one's own, named in the environment of a process."""

from __future__ import annotations

import http.server
import os
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

PROGRAM = """
import sys
from drystone.base.errors import DrystoneError
from drystone.store import open_store
from drystone.store.clients import Patience
try:
    open_store(sys.argv[1], patience=Patience(first=0.0, again=0.0)).get("key")
except DrystoneError as error:
    print(error)
"""


class MissingHandler(http.server.BaseHTTPRequestHandler):
    """There is no object."""

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        pass

    def do_GET(self) -> None:
        self.send_response(404)
        self.send_header("Content-Length", "0")
        self.end_headers()


class QuietServer(http.server.ThreadingHTTPServer):
    """Says nothing of clients that break off, as those do that trust it not."""

    def handle_error(self, request: object, client_address: object) -> None:
        pass


def make_certificate(folder: Path) -> tuple[Path, Path]:
    """(the authority's certificate, certificate and key of 127.0.0.1), as PEM files."""
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(2)]
    names = [x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]) for name in ("our authority", "127.0.0.1")]
    start = datetime.now(UTC) - timedelta(days=1)
    made = []
    for number, (key, name) in enumerate(zip(keys, names, strict=True)):
        builder = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(names[0])
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(start)
            .not_valid_after(start + timedelta(days=3))
            .add_extension(x509.BasicConstraints(ca=number == 0, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False)
        )
        made.append(builder.sign(keys[0], hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    authority, server = folder / "authority.pem", folder / "server.pem"
    authority.write_bytes(made[0])
    form, secrecy = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    server.write_bytes(made[1] + keys[1].private_bytes(serialization.Encoding.PEM, form, secrecy))
    return authority, server


@pytest.fixture
def trusted(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """(endpoint, the authority's certificate) of a store behind TLS."""
    authority, server = make_certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(server)
    with QuietServer(("127.0.0.1", 0), MissingHandler) as web:
        web.socket = context.wrap_socket(web.socket, server_side=True)
        thread = threading.Thread(target=web.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"https://127.0.0.1:{web.server_port}", authority
        finally:
            web.shutdown()
            thread.join()


@pytest.mark.parametrize(
    ("dest", "variables", "bundle"),
    [
        (
            "s3://bucket",
            {"AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s", "AWS_ENDPOINT_URL": ""},
            "AWS_CA_BUNDLE",
        ),
        (
            "az://container",
            {"AZURE_STORAGE_ACCOUNT": "a", "AZURE_STORAGE_KEY": "c2Vj", "AZURE_STORAGE_ENDPOINT": ""},
            "SSL_CERT_FILE",
        ),
        ("gs://bucket", {"GOOGLE_BEARER_TOKEN": "t", "GOOGLE_BASE_URL": ""}, "SSL_CERT_FILE"),
    ],
    ids=["s3", "az", "gs"],
)
def test_an_authority_of_ones_own(
    dest: str, variables: dict[str, str], bundle: str, trusted: tuple[str, Path], tmp_path: Path
) -> None:
    endpoint, authority = trusted
    variables = {name: text or endpoint for name, text in variables.items()}
    clean = {name: text for name, text in os.environ.items() if name not in {"SSL_CERT_FILE", "SSL_CERT_DIR"}}
    environ = {**clean, **variables, "HOME": str(tmp_path), "NO_PROXY": "127.0.0.1"}
    assert f"there is no object key at {dest}" in _ask(dest, {**environ, bundle: str(authority)})
    said = _ask(dest, environ)
    assert "certificate is not trusted" in said
    assert bundle in said


def _ask(dest: str, environ: dict[str, str]) -> str:
    command = [sys.executable, "-c", PROGRAM, dest]
    return subprocess.run(command, env=environ, capture_output=True, text=True, check=True, timeout=60).stdout
