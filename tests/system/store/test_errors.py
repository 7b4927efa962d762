"""What a user reads when a remote store says no: one line of our tree, a hint, and never a secret."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from drystone.base.errors import DrystoneError, UnavailableError, UsageError
from drystone.store import Store, open_store
from drystone.store.clients import Patience
from drystone.testing.s3 import SECRET, STRANGER, STRANGER_SECRET, S3Server, start_server
from drystone.testing.stores import check_refusal

PATIENCE = Patience(connect=1.0, silence=5.0, first=0.3, again=0.3)


def all_refuse(store: Store, kind: type[DrystoneError], says: str, *, hint: str) -> None:
    secrets = (SECRET, STRANGER_SECRET, "guessed-secret", "Signature=")
    check_refusal(store, kind, says, hint=hint, secrets=secrets)


def test_a_bucket_that_is_not_there(server: S3Server) -> None:
    store = open_store("s3://no-such-bucket/x", environ=server.environ(), patience=PATIENCE)
    with pytest.raises(UsageError, match="there is no such bucket"):
        store.get("key")
    all_refuse(store, UsageError, "s3://no-such-bucket", hint="make it first")


def test_a_wrong_secret(server: S3Server, bucket: str) -> None:
    store = open_store(f"s3://{bucket}", environ=server.environ(secret="guessed-secret"), patience=PATIENCE)
    all_refuse(store, UnavailableError, "does not accept the credentials", hint="AWS_ACCESS_KEY_ID")


def test_an_unknown_key(server: S3Server, bucket: str) -> None:
    store = open_store(f"s3://{bucket}", environ=server.environ(key="test:nobody"), patience=PATIENCE)
    all_refuse(store, UnavailableError, "does not accept the credentials", hint="AWS_ACCESS_KEY_ID")


def test_a_user_without_rights(server: S3Server, bucket: str) -> None:
    variables = server.environ(key=STRANGER, secret=STRANGER_SECRET)
    store = open_store(f"s3://{bucket}", environ=variables, patience=PATIENCE)
    all_refuse(store, UnavailableError, "is denied to this user", hint="rights")


def test_clocks_that_differ(tmp_path: Path, server: S3Server) -> None:
    # `server` is here for its skip. A bucket is made by a signed request too, so this one has none: time comes first.
    with start_server(tmp_path / "s3", ahead=3600.0) as ahead:
        store = open_store("s3://some-bucket", environ=ahead.environ(), patience=PATIENCE)
        all_refuse(store, UnavailableError, "clocks", hint="timedatectl")


def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    environ = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": SECRET}
    store = open_store("s3://bucket", endpoint=f"http://127.0.0.1:{port}", environ=environ, patience=PATIENCE)
    all_refuse(store, UnavailableError, f"(http://127.0.0.1:{port}): the store cannot be reached", hint="endpoint")


def test_a_host_without_an_address() -> None:
    environ = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": SECRET}
    store = open_store("s3://bucket", endpoint="http://no-such-host.invalid", environ=environ, patience=PATIENCE)
    all_refuse(store, UnavailableError, "host name is not known", hint="endpoint")


def test_tls_where_there_is_none(server: S3Server, bucket: str) -> None:
    variables = server.environ(endpoint=server.endpoint.replace("http://", "https://"))
    store = open_store(f"s3://{bucket}", environ=variables, patience=PATIENCE)
    all_refuse(store, UnavailableError, "does not speak TLS", hint="http://")
