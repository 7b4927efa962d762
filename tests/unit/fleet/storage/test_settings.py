"""Settings of a storage server: a file, flags over it, and what does not go together."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from drystone.base.errors import NotFoundError, UnsupportedError, UsageError
from drystone.fleet.storage.settings import load_settings


def test_flags_win_over_the_file(tmp_path: Path) -> None:
    path = tmp_path / "storage.toml"
    path.write_text('id = "s1"\nmappers = ["http://m:1"]\nroot = "/srv"\ncopy_rate = 5\n')
    settings = load_settings(path, {"root": tmp_path, "copy_rate": None, "mappers": ("http://m:2",)})
    assert (settings.id, settings.mappers, settings.root) == ("s1", ("http://m:2",), tmp_path)
    assert settings.copy_rate == 5


@pytest.mark.parametrize(
    ("flags", "match"),
    [
        ({"mappers": ("http://m:1",)}, "id"),
        ({"id": "s1"}, "mapper"),
        ({"id": "s/1", "mappers": ("http://m:1",)}, "id"),
        ({"id": "s1", "mappers": ("m:1",)}, "http"),
        ({"id": "s1", "mappers": ("http://m:1",), "certificate": "/c"}, "certificate"),
        ({"id": "s1", "mappers": ("http://m:1",), "copy_rate": "fast"}, "copy_rate"),
        ({"id": "s1", "mappers": ("http://m:1",), "unknown": 1}, "unknown"),
        ({"id": "s1", "mappers": ("http://m:1",), "head_seconds": 0}, "head_seconds"),
        ({"id": "s1", "mappers": ("http://m:1",), "still_seconds": -1}, "still_seconds"),
        ({"id": "s1", "mappers": ("http://m:1",), "smart": "perhaps"}, "smart"),
        ({"id": "s1", "mappers": ("http://m:1",), "smart_sectors": -1}, "unreadable sectors"),
        ({"id": "s1", "mappers": ("http://m:1",), "smart_seconds": 0}, "every so many seconds"),
        ({"id": "s1", "mappers": ("http://m:1",), "listen": ":80"}, "every address"),
        ({"id": "s1", "mappers": ("http://m:1",), "listen": "host"}, "HOST:PORT"),
    ],
)
def test_what_is_wrong_is_told(flags: dict[str, object], match: str) -> None:
    with pytest.raises(UsageError, match=match):
        load_settings(None, flags)


def test_a_file_that_is_not_there_or_no_toml(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        load_settings(tmp_path / "none.toml", {})
    (tmp_path / "bad.toml").write_text("id = ")
    with pytest.raises(UsageError):
        load_settings(tmp_path / "bad.toml", {})


SERVER: dict[str, object] = {"id": "s1", "mappers": ("http://m:1",)}


def test_torrents_are_off_unless_they_are_asked_for(tmp_path: Path) -> None:
    pytest.importorskip("libtorrent", reason="libtorrent has no wheel for this Python")
    assert load_settings(None, SERVER).torrents == ""
    path = tmp_path / "storage.toml"
    path.write_text('torrents = "10.0.0.2:6881"\n')
    assert load_settings(path, SERVER).torrents == "10.0.0.2:6881"
    assert load_settings(path, {**SERVER, "torrents": "127.0.0.1:0"}).torrents == "127.0.0.1:0"
    assert load_settings(path, {**SERVER, "torrents": ""}).torrents == ""


@pytest.mark.parametrize(
    ("flags", "match"),
    [
        ({"torrents": ":6881"}, "address of a machine"),
        ({"torrents": "0.0.0.0:6881"}, "one machine"),
        ({"torrents": "storage-1:6881"}, "in numbers"),
        ({"torrents": "10.0.0.2"}, "HOST:PORT"),
        ({"torrents": "10.0.0.2:6881", "certificate": "/c", "key_file": "/k"}, "not encrypted"),
    ],
)
def test_wrong_addresses_of_torrents_are_told(flags: dict[str, object], match: str) -> None:
    with pytest.raises(UsageError, match=match):
        load_settings(None, {**SERVER, **flags})


def test_torrents_need_libtorrent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "libtorrent", None)
    assert load_settings(None, SERVER).torrents == ""
    with pytest.raises(UnsupportedError, match="libtorrent is not installed"):
        load_settings(None, {**SERVER, "torrents": "127.0.0.1:0"})
