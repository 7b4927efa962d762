"""Destinations and the stores they name."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from drystone.base.errors import UnavailableError, UnsupportedError, UsageError
from drystone.store import open_store
from drystone.store.folder import FolderStore

KEYS = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "topsecret", "HOME": "/nonexistent"}


@pytest.mark.parametrize("prefix", ["vfs://", "file://", ""])
def test_folders(prefix: str, tmp_path: Path) -> None:
    store = open_store(f"{prefix}{tmp_path}/with blank%20")
    assert isinstance(store, FolderStore)
    assert store.root == tmp_path / "with blank%20"


@pytest.mark.parametrize("url", ["", "vfs://", "vfs://relative"])
def test_wrong_destinations(url: str) -> None:
    with pytest.raises(UsageError):
        open_store(url)


@pytest.mark.parametrize("url", ["http://localhost/", "ftp://x"])
def test_other_schemes_are_named(url: str) -> None:
    with pytest.raises(UnsupportedError, match=url.split(":", maxsplit=1)[0]):
        open_store(url)


def test_buckets_say_where_they_are_and_no_secret() -> None:
    assert repr(open_store("s3://bucket@eu-west-1/a/b/", environ=KEYS)) == "RemoteStore(s3://bucket/a/b/)"
    store = open_store("s3://bucket", endpoint="http://localhost:9000", environ=KEYS)
    assert repr(store) == "RemoteStore(s3://bucket (http://localhost:9000)/)"
    assert repr(open_store("gs://bucket/a")) == "RemoteStore(gs://bucket/a/)"


def test_no_credentials_are_missed_before_anything_is_sent() -> None:
    with pytest.raises(UnavailableError, match="no credentials were found") as caught:
        open_store("s3://bucket", endpoint="http://localhost:9000", environ={"HOME": "/nonexistent"})
    assert "AWS_ACCESS_KEY_ID" in caught.value.hint


def test_an_azure_account_must_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AZURE_STORAGE_ACCOUNT_NAME", "AZURE_STORAGE_ACCOUNT"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(UnavailableError, match="az://container") as caught:
        open_store("az://container/x")
    assert "AZURE_STORAGE_ACCOUNT_NAME" in caught.value.hint
    assert caught.value.__cause__ is None
    assert repr(open_store("abfss://container@account.dfs.core.windows.net/x")) == "RemoteStore(az://container/x/)"


def test_an_endpoint_is_for_s3_alone(tmp_path: Path) -> None:
    for url in (str(tmp_path), "gs://bucket", "memory:"):
        with pytest.raises(UsageError, match="endpoint"):
            open_store(url, endpoint="http://localhost:9000")


def test_memory_lasts_as_long_as_the_process() -> None:
    assert open_store("memory:test-opening/a").put_if_absent("key", b"x")
    assert open_store("memory://test-opening/a/").get("key") == b"x"
    assert list(open_store("memory:test-opening").list("")) == [("a/key", 1)]
    assert list(open_store("memory:another").list("")) == []


@pytest.mark.parametrize("text", ["soon", "-1", "1.5", "86401", "9" * 40, "0" * 9 + "86401", "²"])
def test_patience_is_a_number_of_seconds(text: str) -> None:
    with pytest.raises(UsageError, match="DRYSTONE_STORE_PATIENCE"):
        open_store("memory:", environ={"DRYSTONE_STORE_PATIENCE": text})
    open_store("memory:", environ={"DRYSTONE_STORE_PATIENCE": "0"})


def test_the_library_is_imported_for_remote_stores_alone(tmp_path: Path) -> None:
    program = (
        "import sys; from drystone.store import open_store\n"
        "open_store(sys.argv[1]); assert 'obstore' not in sys.modules\n"
        "open_store('memory:'); assert 'obstore' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program, tmp_path], check=True)
