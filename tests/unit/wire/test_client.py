"""What a caller is told about a daemon that cannot be talked to."""

from __future__ import annotations

from pathlib import Path

import pytest

from drystone.wire.client import _find_hint


@pytest.mark.parametrize(
    ("error", "hint"),
    [
        (PermissionError(13, "Permission denied"), "for root and its group"),
        (FileNotFoundError(2, "No such file or directory"), "start it with `convoy daemon`"),
        (ConnectionRefusedError(111, "Connection refused"), "start it with `convoy daemon`"),
        (ConnectionResetError(104, "Connection reset by peer"), "its log says why"),
    ],
)
def test_the_hint_says_what_to_do(error: OSError, hint: str) -> None:
    assert hint in _find_hint(error, Path("/run/x.sock"))
