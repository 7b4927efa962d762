"""What a caller is told about a daemon that cannot be talked to."""

from __future__ import annotations

from pathlib import Path

import pytest

from drystone.base.errors import UnavailableError
from drystone.wire.client import UnixClient, _find_hint


@pytest.mark.parametrize(
    ("error", "hint"),
    [
        (PermissionError(13, "Permission denied"), "for root and its group"),
        (FileNotFoundError(2, "No such file or directory"), "start it: the-daemon;"),
        (ConnectionRefusedError(111, "Connection refused"), "start it: the-daemon;"),
        (ConnectionResetError(104, "Connection reset by peer"), "its log says why"),
    ],
)
def test_the_hint_says_what_to_do(error: OSError, hint: str) -> None:
    assert hint in _find_hint(error, Path("/run/x.sock"), "the-daemon")


def test_the_hint_names_the_command_that_starts_it(tmp_path: Path) -> None:
    for client, start in (
        (UnixClient(tmp_path / "none"), "convoy daemon"),
        (UnixClient(tmp_path / "none", start="drystone volume daemon"), "drystone volume daemon"),
    ):
        with pytest.raises(UnavailableError) as caught:
            client.call("GET", "/info")
        assert caught.value.hint == f"start it: {start}; or name its socket with --socket"
