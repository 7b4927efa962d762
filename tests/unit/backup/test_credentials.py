"""Where passphrases and key files come from."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from drystone.backup.credentials import LARGEST_KEY_FILE, LONGEST_PASSPHRASE, find_credential
from drystone.backup.format.slot import Credential, KeyFile, Passphrase
from drystone.base.errors import KernelError, NotFoundError, UsageError


def refuse(line: str) -> None:
    raise AssertionError(line)


def private(path: Path, data: bytes) -> Path:
    path.touch(mode=0o600)
    path.write_bytes(data)
    return path


def find(environ: dict[str, str] | None = None, **files: Path) -> Credential | None:
    return find_credential(environ or {}, refuse, **files)


@pytest.mark.parametrize("data", [b"a word", b"a word\n", b"a word\r\n"])
def test_a_passphrase_is_a_line_of_a_file(data: bytes, tmp_path: Path) -> None:
    path = private(tmp_path / "file", data)
    assert find(passphrase_file=path) == Passphrase(b"a word")
    assert find({"DRYSTONE_PASSPHRASE_FILE": str(path)}) == Passphrase(b"a word")


def test_blanks_and_other_bytes_belong_to_it(tmp_path: Path) -> None:
    assert find(passphrase_file=private(tmp_path / "file", b" \xff\t\n")) == Passphrase(b" \xff\t")
    assert find({"DRYSTONE_PASSPHRASE": "gr\u00fcn \udcff"}) == Passphrase("gr\u00fcn ".encode() + b"\xff")


def test_what_is_said_comes_before_the_environment(tmp_path: Path) -> None:
    key = private(tmp_path / "key", bytes(range(64)))
    environ = {"DRYSTONE_PASSPHRASE": "other"}
    assert find(environ, key_file=key) == KeyFile(bytes(range(64)))
    assert find(environ, passphrase_file=private(tmp_path / "file", b"mine")) == Passphrase(b"mine")
    assert find(environ) == Passphrase(b"other")
    assert find() is None
    assert find({"DRYSTONE_PASSPHRASE": "", "DRYSTONE_PASSPHRASE_FILE": ""}) is None


@pytest.mark.parametrize("data", [b"", b"\n", b"\r\n", b"one\ntwo\n", b"nul\0", b"x" * (LONGEST_PASSPHRASE + 1)])
def test_what_is_no_passphrase(data: bytes, tmp_path: Path) -> None:
    path = private(tmp_path / "file", data)
    with pytest.raises(UsageError) as caught:
        find(passphrase_file=path)
    assert str(path) in caught.value.message
    assert "xxx" not in str(caught.value)


def test_what_is_no_key_file(tmp_path: Path) -> None:
    for data in (b"", bytes(31), bytes(LARGEST_KEY_FILE + 1)):
        with pytest.raises(UsageError, match="key file"):
            find(key_file=private(tmp_path / "key", data))
    with pytest.raises(NotFoundError):
        find(key_file=tmp_path / "none")
    with pytest.raises(UsageError, match="folder"):
        find(passphrase_file=tmp_path)
    with pytest.raises((KernelError, UsageError)):
        find(passphrase_file=Path("/proc/self/mem"))


def test_two_of_them(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="both"):
        find(passphrase_file=tmp_path / "a", key_file=tmp_path / "b")
    with pytest.raises(UsageError, match="both"):
        find({"DRYSTONE_PASSPHRASE": "a", "DRYSTONE_PASSPHRASE_FILE": "b"})


def test_a_file_that_others_can_read_is_told(tmp_path: Path) -> None:
    path = private(tmp_path / "file", b"word")
    for mode in (0o640, 0o604, 0o620):
        path.chmod(mode)
        told: list[str] = []
        find_credential({}, told.append, passphrase_file=path)
        assert told == [f"{path} can be read by others than its owner: chmod 600 {path}"]


def test_a_pipe_is_read_and_its_mode_means_nothing(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    path.chmod(0o644)
    writer = threading.Thread(target=path.write_bytes, args=(b"word\n",), daemon=True)
    writer.start()
    assert find(passphrase_file=path) == Passphrase(b"word")
    writer.join(60)
