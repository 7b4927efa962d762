from __future__ import annotations

from pathlib import Path

import pytest

from drystone.base.errors import KernelError, NotFoundError
from drystone.kernel.dm.abc import DeviceNumber
from drystone.kernel.queue import forbid_discards, lets_discards_through

NUMBER = DeviceNumber(254, 0)


@pytest.fixture
def limit(tmp_path: Path) -> Path:
    queue = tmp_path / "dev" / "block" / "254:0" / "queue"
    queue.mkdir(parents=True)
    path = queue / "discard_max_bytes"
    path.write_text("65536\n")
    return path


def test_discards_are_forbidden_once(limit: Path, tmp_path: Path) -> None:
    assert lets_discards_through(NUMBER, str(tmp_path))
    assert forbid_discards(NUMBER, str(tmp_path))
    assert limit.read_text() == "0\n"
    assert not lets_discards_through(NUMBER, str(tmp_path))
    assert not forbid_discards(NUMBER, str(tmp_path))


def test_no_such_device(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        forbid_discards(NUMBER, str(tmp_path))


def test_a_limit_that_cannot_be_set(limit: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> int:
        raise OSError(5, "no")

    monkeypatch.setattr(Path, "write_text", refuse)
    with pytest.raises(KernelError, match="forbid-discards"):
        forbid_discards(NUMBER, str(tmp_path))
