"""What an engine is told: addresses, and that its library is there."""

from __future__ import annotations

import sys

import pytest

from drystone.base.errors import UnsupportedError, UsageError
from drystone.fleet.storage.torrents.engine import check_library, find_host


@pytest.mark.parametrize(
    ("address", "host"), [("127.0.0.1:0", "127.0.0.1"), ("[fd00::1]:6881", "fd00::1"), ("10.0.0.2:6881", "10.0.0.2")]
)
def test_an_address_names_one_machine(address: str, host: str) -> None:
    assert find_host(address) == host


@pytest.mark.parametrize(
    "address",
    [":6881", "0.0.0.0:6881", "[::]:6881", "localhost:6881", "eth0:6881", "224.0.0.1:6881", "10.0.0.2", "a:b"],
)
def test_what_names_many_or_none_is_refused(address: str) -> None:
    with pytest.raises(UsageError):
        find_host(address)


def test_a_missing_library_is_told_in_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "libtorrent", None)
    with pytest.raises(UnsupportedError, match="libtorrent is not installed") as failed:
        check_library()
    assert "drystone[torrent]" in failed.value.hint
