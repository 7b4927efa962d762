"""Settings of S3 stores."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from drystone.base.errors import UsageError
from drystone.store.aws import find_settings

KEYS = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "topsecret"}


def write_files(home: Path) -> dict[str, str]:
    (home / ".aws").mkdir()
    (home / ".aws" / "credentials").write_text(
        "[default]\naws_access_key_id = dkey\naws_secret_access_key = d%secret\n"
        "[work]\naws_access_key_id = wkey\naws_secret_access_key = wsecret\naws_session_token = wtoken\n"
    )
    (home / ".aws" / "config").write_text(
        "[default]\nregion = eu-north-1\n[profile work]\nregion = eu-west-3\nendpoint_url = http://10.0.0.1:9000/\n"
    )
    return {"HOME": str(home)}


def test_nothing_is_there(tmp_path: Path) -> None:
    found = find_settings({"HOME": str(tmp_path)})
    assert (found.endpoint, found.region, found.access_key, found.asks) == ("", "us-east-1", "", True)
    assert not find_settings({"HOME": str(tmp_path)}, endpoint="http://localhost:1").asks
    assert not find_settings({"HOME": str(tmp_path), "AWS_EC2_METADATA_DISABLED": "true"}).asks
    variables = {"HOME": str(tmp_path), "AWS_WEB_IDENTITY_TOKEN_FILE": "/x"}
    assert find_settings(variables, endpoint="http://localhost:1").asks


def test_the_environment_comes_first(tmp_path: Path) -> None:
    variables = {**write_files(tmp_path), **KEYS, "AWS_REGION": "sa-east-1", "AWS_ENDPOINT_URL": "https://s3.local"}
    found = find_settings(variables)
    assert (found.access_key, found.secret_key, found.token) == ("key", "topsecret", "")
    assert (found.region, found.endpoint) == ("sa-east-1", "https://s3.local")
    found = find_settings(variables, endpoint="http://localhost:1/", region="eu-west-1")
    assert (found.region, found.endpoint) == ("eu-west-1", "http://localhost:1")


def test_convoys_names() -> None:
    found = find_settings({"AWS_ACCESS_KEY": "a", "AWS_SECRET_KEY": "b", "HOME": os.devnull})
    assert (found.access_key, found.secret_key) == ("a", "b")


def test_files(tmp_path: Path) -> None:
    variables = write_files(tmp_path)
    found = find_settings(variables)
    assert (found.access_key, found.secret_key, found.token) == ("dkey", "d%secret", "")
    assert (found.region, found.endpoint) == ("eu-north-1", "")
    found = find_settings({**variables, "AWS_PROFILE": "work"})
    assert (found.access_key, found.secret_key, found.token) == ("wkey", "wsecret", "wtoken")
    assert (found.region, found.endpoint) == ("eu-west-3", "http://10.0.0.1:9000")


def test_a_profile_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="'nobody'"):
        find_settings({**write_files(tmp_path), "AWS_PROFILE": "nobody"})


@pytest.mark.parametrize("name", [*sorted(KEYS), "AWS_SESSION_TOKEN", "AWS_REGION"])
@pytest.mark.parametrize("text", ["topsecret\n", "top secret", "topsecret\u00e4", "topsecret\udcff", "\x7ftopsecret"])
def test_words_that_no_header_can_hold(name: str, text: str) -> None:
    with pytest.raises(UsageError, match="copied along") as caught:
        find_settings({**KEYS, "HOME": os.devnull, name: text})
    assert "topsecret" not in str(caught.value)


@pytest.mark.parametrize("name", sorted(KEYS))
def test_half_a_key(name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is not") as caught:
        find_settings({**write_files(tmp_path), name: KEYS[name]})
    assert "topsecret" not in str(caught.value)


@pytest.mark.parametrize(
    "text", [b"topsecret", b"[default\ntopsecret", b"\xff\xfe", b"=topsecret\n", b"[default]\n" + b"x" * (1 << 20)]
)
def test_files_that_are_none(text: bytes, tmp_path: Path) -> None:
    path = tmp_path / "credentials"
    path.write_bytes(text)
    with pytest.raises(UsageError) as caught:
        find_settings({"AWS_SHARED_CREDENTIALS_FILE": str(path), "HOME": str(tmp_path)})
    assert str(path) in str(caught.value)
    assert "topsecret" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_folder_where_a_file_should_be(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        find_settings({"AWS_CONFIG_FILE": str(tmp_path), "HOME": str(tmp_path)})


@pytest.mark.parametrize(
    "url",
    [
        "localhost:9000", "ftp://host", "http://", "http://host:port", "http://host:0", "http://host:99999",
        "http://user:topsecret@host", "http://host/?topsecret", "http://host/#x", "http://ho st", "http://hö", "http://a\nb",
        "http://[::1", "http://host/<x>",
    ],
)  # fmt: skip
def test_endpoints_that_are_none(url: str) -> None:
    with pytest.raises(UsageError, match="endpoint") as caught:
        find_settings({"HOME": os.devnull}, endpoint=url)
    assert "topsecret" not in str(caught.value)


def test_authorities(tmp_path: Path) -> None:
    path = tmp_path / "ca.pem"
    with pytest.raises(UsageError, match="file of authorities"):
        find_settings({"HOME": os.devnull, "AWS_CA_BUNDLE": str(path)})
    path.write_bytes(b"garbage")
    with pytest.raises(UsageError, match="no certificate"):
        find_settings({"HOME": os.devnull, "AWS_CA_BUNDLE": str(path)})
    path.write_bytes(b"-----BEGIN CERTIFICATE-----\n")
    assert find_settings({"HOME": os.devnull, "AWS_CA_BUNDLE": str(path)}).authorities == path.read_bytes()


def test_secrets_are_in_no_repr() -> None:
    found = find_settings({**KEYS, "AWS_SESSION_TOKEN": "toptoken", "HOME": os.devnull})
    assert "topsecret" not in repr(found)
    assert "toptoken" not in repr(found)


def test_a_file_is_read_whole_or_not_at_all(tmp_path: Path) -> None:
    certificate = b"-----BEGIN CERTIFICATE-----\n"
    path = tmp_path / "ca.pem"
    path.write_bytes(certificate.ljust(1 << 20))
    assert len(find_settings({"HOME": os.devnull, "AWS_CA_BUNDLE": str(path)}).authorities) == 1 << 20
    path.write_bytes(certificate.ljust((1 << 20) + 1))
    with pytest.raises(UsageError, match="too large to be a file of settings"):
        find_settings({"HOME": os.devnull, "AWS_CA_BUNDLE": str(path)})
    variables = write_files(tmp_path)
    (tmp_path / ".aws" / "config").write_bytes(b"[default]\nca_bundle = /a\0b\n")
    with pytest.raises(UsageError, match=r"'/a\\x00b', the file of authorities, cannot be read: no path"):
        find_settings(variables)
