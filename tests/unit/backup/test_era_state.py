from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from drystone.backup.era_state import EraState, from_about, read_state, write_state
from drystone.base.errors import DamagedError, KernelError, NotFoundError, UnsupportedError

STATE = EraState(tag="t", session=5, next_era=7, end_era=9, block_size=65536, size=1 << 20, volume="v", backup="b")


def test_a_state_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "state"
    with pytest.raises(NotFoundError):
        read_state(path)
    write_state(path, STATE)
    assert read_state(path) == STATE
    write_state(path, msgspec.structs.replace(STATE, next_era=8))
    assert read_state(path).next_era == 8
    assert list(tmp_path.iterdir()) == [path], "nothing is left beside it"


def test_every_flipped_byte_is_found(tmp_path: Path) -> None:
    path = tmp_path / "state"
    write_state(path, STATE)
    data = path.read_bytes()
    for at in range(len(data)):
        path.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
        try:
            found = read_state(path)
        except (DamagedError, UnsupportedError):
            continue
        assert found == STATE, "white space"
    for end in range(0, len(data) - 3, 7):
        path.write_bytes(data[:end])
        with pytest.raises(DamagedError):
            read_state(path)


@pytest.mark.parametrize(
    ("old", "new", "error"),
    [
        (b"drystone-era-state", b"something-else-xyz", DamagedError),
        (b'"version": 1', b'"version": 2', UnsupportedError),
        (b'"next_era": 7', b'"next_era": 8', DamagedError),
        (b'"next_era": 7', b'"next_era": "7"', DamagedError),
    ],
)
def test_other_files(tmp_path: Path, old: bytes, new: bytes, error: type[Exception]) -> None:
    path = tmp_path / "state"
    write_state(path, STATE)
    assert old in path.read_bytes()
    path.write_bytes(path.read_bytes().replace(old, new))
    with pytest.raises(error, match="state file"):
        read_state(path)


def test_a_folder_is_no_state(tmp_path: Path) -> None:
    with pytest.raises(KernelError):
        read_state(tmp_path)


def test_facts_of_a_manifest() -> None:
    about = STATE.to_about()
    assert all(isinstance(value, str) for value in about.values())
    assert from_about({**about, "other": "x"}) == msgspec.structs.replace(STATE, volume="", backup="")
    assert from_about({"other": "x"}) is None
    for key in ("era.next", "era.end", "era.session", "era.block_size", "era.size"):
        with pytest.raises(DamagedError):
            from_about({**about, key: "x"})
        with pytest.raises(DamagedError):
            from_about({name: value for name, value in about.items() if name != key})
