"""Where what reaches a GCS store comes from."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from drystone.base.errors import UsageError
from drystone.store.gcs import GcsSettings, find_settings

KEY = json.dumps({"gcs_base_url": "http://h:1/", "private_key": "topsecret"})


def test_an_emulator_is_named_with_or_without_its_scheme() -> None:
    for text in ("http://localhost:9023", "localhost:9023"):
        found = find_settings({"STORAGE_EMULATOR_HOST": text, "GOOGLE_APPLICATION_CREDENTIALS": "/nonexistent"})
        assert found.endpoint == "http://localhost:9023"
        assert json.loads(found.key)["disable_oauth"]
        assert not found.key_file
    assert find_settings({"STORAGE_EMULATOR_HOST": "https://h"}).endpoint == "https://h"


def test_a_key_file_is_read_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "key.json"
    path.write_text(KEY.ljust(1 << 20))
    assert find_settings({"GOOGLE_SERVICE_ACCOUNT": str(path)}).endpoint == "http://h:1"
    path.write_text(KEY.ljust((1 << 20) + 1))
    with pytest.raises(UsageError, match="too large to be a file of settings"):
        find_settings({"GOOGLE_SERVICE_ACCOUNT": str(path)})


def test_keys_and_files(tmp_path: Path) -> None:
    path = tmp_path / "key.json"
    path.write_text(KEY)
    assert find_settings({"GOOGLE_SERVICE_ACCOUNT_KEY": KEY}) == GcsSettings("http://h:1", key=KEY)
    assert find_settings({"GOOGLE_SERVICE_ACCOUNT": str(path)}) == GcsSettings("http://h:1", key_file=str(path))
    environ = {"GOOGLE_SERVICE_ACCOUNT_PATH": str(path), "GOOGLE_BASE_URL": "https://g"}
    assert find_settings(environ) == GcsSettings("https://g", key_file=str(path))
    # The library reads the endpoint from a service account's key only.
    environ = {"GOOGLE_APPLICATION_CREDENTIALS": str(path)}
    assert find_settings(environ) == GcsSettings("", key_file=str(path), is_default=True)
    assert find_settings({}) == GcsSettings()
    assert find_settings({"GOOGLE_BEARER_TOKEN": "t", "GOOGLE_SKIP_SIGNATURE": "true"}) == GcsSettings(
        token="t", anonymous=True
    )


@pytest.mark.parametrize("name", ["GOOGLE_SERVICE_ACCOUNT", "GOOGLE_APPLICATION_CREDENTIALS"])
def test_files_that_cannot_be_used(name: str, tmp_path: Path) -> None:
    path = tmp_path / "key.json"
    for text in (None, "", "topsecret", "[]", '{"gcs_base_url": 1}', "\0"):
        if text is not None:
            path.write_text(text)
        with pytest.raises(UsageError) as caught:
            find_settings({name: str(path)})
        assert "topsecret" not in str(caught.value)


@pytest.mark.parametrize("name", ["STORAGE_EMULATOR_HOST", "GOOGLE_BASE_URL"])
@pytest.mark.parametrize("text", ["ftp://h", "http://", "http://u:p@h", "http://h?x=1"])
def test_endpoints_that_are_none(name: str, text: str) -> None:
    with pytest.raises(UsageError, match="the GCS endpoint"):
        find_settings({name: text})


def test_secrets_are_not_shown() -> None:
    found = find_settings({"GOOGLE_SERVICE_ACCOUNT_KEY": KEY, "GOOGLE_BEARER_TOKEN": "bearing"})
    assert "topsecret" not in repr(found)
    assert "bearing" not in repr(found)
    with pytest.raises(UsageError, match="bearer token"):
        find_settings({"GOOGLE_BEARER_TOKEN": "top secret"})
