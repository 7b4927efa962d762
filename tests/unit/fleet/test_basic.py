"""An access key in HTTP Basic."""

import base64

import pytest

from drystone.fleet.basic import is_administrator, parse_basic
from drystone.fleet.documents import Key


def encode(text: str) -> str:
    return "Basic " + base64.b64encode(text.encode()).decode()


def test_key_and_secret() -> None:
    assert parse_basic(encode("KEY:a:b")) == ("KEY", "a:b")
    assert parse_basic("basic " + encode("k:ü")[6:]) == ("k", "ü")


@pytest.mark.parametrize("header", ["", "Basic", "Basic !!", "Basic ü", "Bearer a2V5OnM=", "Basic /////w=="])
def test_all_else_is_none(header: str) -> None:
    assert parse_basic(header) == ("", "")


def test_only_admin_on_everything_is_an_administrator() -> None:
    key = Key("K", "s", {"*": "admin"})
    assert is_administrator(key, "s")
    assert not is_administrator(key, "t")
    assert not is_administrator(key, "")
    assert not is_administrator(None, "")
    assert not is_administrator(Key("K", "", {"*": "admin"}), "")
    assert not is_administrator(Key("K", "s", {"*": "write", "ns": "admin"}), "s")
