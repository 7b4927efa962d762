"""What cannot be trimmed is said in one line; what can is shown in tests/kernel/volumes/test_care.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from drystone.base.errors import UnsupportedError
from drystone.kernel.trimming import trim


def test_what_takes_no_discards_is_unsupported() -> None:
    with pytest.raises(UnsupportedError, match="mounted at /proc cannot be trimmed"):
        trim("/proc")


def test_a_place_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        trim(str(tmp_path / "none"))
