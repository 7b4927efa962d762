"""Convoy's command line with a destination in S3 at an endpoint of its own, encrypted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from drystone.testing.s3 import S3Server, start_server, why_absent

from .conftest import Host


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    if why := why_absent():
        pytest.skip(why)
    with start_server(tmp_path_factory.mktemp("s3")) as started:
        yield started


def test_the_endpoint_is_the_requests(
    server: S3Server, host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in server.environ().items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    secret = tmp_path / "passphrase"
    secret.touch(mode=0o600)
    secret.write_text("a word\n")
    monkeypatch.setenv("DRYSTONE_PASSPHRASE_FILE", str(secret))
    host.start()
    endpoint = ("--s3-endpoint", server.endpoint)
    dest = f"s3://{server.make_bucket()}@us-east-1/convoy/"
    uuid = host.convoy("create", "db").text
    place = Path(host.convoy("mount", "db").text)
    (place / "file").write_bytes(b"content" * 1000)
    host.convoy("snapshot", "create", "db", "--name", "monday")
    url = host.convoy("backup", "create", "monday", "--dest", dest, *endpoint).text
    assert url.startswith(f"{dest}?backup=")
    assert list(host.convoy("backup", "list", dest, *endpoint).document) == [url]
    assert host.convoy("backup", "inspect", url, *endpoint).document["VolumeUUID"] == uuid
    host.convoy("create", "again", "--backup", url, *endpoint)
    assert (Path(host.convoy("mount", "again").text) / "file").read_bytes() == b"content" * 1000
    host.convoy("backup", "delete", url, *endpoint)
    assert host.convoy("backup", "list", dest, *endpoint).document == {}


def test_an_endpoint_for_a_folder_is_an_error(host: Host) -> None:
    host.start()
    error = host.convoy("backup", "list", f"vfs://{host.folder}/backups", "--s3-endpoint", "http://127.0.0.1:1").error
    assert "not in S3" in error
