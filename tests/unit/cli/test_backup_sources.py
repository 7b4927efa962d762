"""`drystone backup create` by the kind of its source: pipes, sparse files, lists of changes."""

from __future__ import annotations

import io
import json
import os
import random
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from drystone.cli.backup import backup
from drystone.cli.exits import run

MIB = 1 << 20


@pytest.fixture
def dest(tmp_path: Path) -> str:
    return f"vfs://{tmp_path}/backups"


@pytest.fixture
def piped(monkeypatch: pytest.MonkeyPatch) -> Iterator[Pipe]:
    made = Pipe(monkeypatch)
    yield made
    made.close()


class Pipe:
    """Gives bytes to the command as its standard input, from another thread."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch
        self._streams: list[io.TextIOWrapper] = []
        self._threads: list[threading.Thread] = []

    def give(self, data: bytes, piece: int = 70_001) -> None:
        reading, writing = os.pipe()

        def write() -> None:
            with os.fdopen(writing, "wb") as file:
                for at in range(0, len(data), piece):
                    file.write(data[at : at + piece])
                    file.flush()

        stream = os.fdopen(reading)
        self._streams.append(stream)
        self._monkeypatch.setattr(sys, "stdin", stream)
        self._threads.append(threading.Thread(target=write))
        self._threads[-1].start()

    def close(self) -> None:
        for each in self._threads:
            each.join()
        for stream in self._streams:
            stream.close()


def answer(capsys: pytest.CaptureFixture[str], *words: str | Path) -> Any:
    code = run(backup, [*(str(word) for word in words), "--json"])
    printed = capsys.readouterr()
    assert code == 0, printed.err
    return json.loads(printed.out)


def refuse(capsys: pytest.CaptureFixture[str], *words: str | Path) -> tuple[int, str]:
    code = run(backup, [str(word) for word in words])
    return code, capsys.readouterr().err


def restored(capsys: pytest.CaptureFixture[str], url: str, tmp_path: Path) -> bytes:
    answer(capsys, "verify", url)
    answer(capsys, "restore", url, tmp_path / "out", "--overwrite")
    return (tmp_path / "out").read_bytes()


@pytest.mark.parametrize("size", [0, 1, MIB - 1, MIB, MIB + 1, 9 * MIB, 9 * MIB + 4097])
def test_standard_input_of_any_length(
    size: int, dest: str, tmp_path: Path, piped: Pipe, capsys: pytest.CaptureFixture[str]
) -> None:
    data = random.Random(size).randbytes(size)
    piped.give(data)
    made = answer(capsys, "create", "-", "--name", "pipe", "--dest", dest, "--no-encryption")
    assert made["size"] == made["read"] == size
    assert made["source"] == "pipe"
    assert restored(capsys, made["url"], tmp_path) == data


def test_a_pipe_is_compared_with_the_one_before(
    dest: str, tmp_path: Path, piped: Pipe, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("create", "-", "--name", "pipe", "--dest", dest, "--no-encryption")
    data = random.Random(1).randbytes(6 * MIB)
    for content, stored in ((data, True), (data, False), (data + b"more", True), (data[: 2 * MIB + 7], True)):
        piped.give(content)
        made = answer(capsys, *words)
        assert (made["stored"] > 0) == stored
        assert made["stored"] < 2 * MIB or content == data
        assert restored(capsys, made["url"], tmp_path) == content
    assert len({each["volume"] for each in answer(capsys, "list", dest)}) == 1


def test_a_stream_and_a_file_of_the_same_bytes_have_one_root(
    dest: str, tmp_path: Path, piped: Pipe, capsys: pytest.CaptureFixture[str]
) -> None:
    data = bytes(3 * MIB) + random.Random(2).randbytes(5 * MIB + 3)
    (tmp_path / "image").write_bytes(data)
    piped.give(data)
    first = answer(capsys, "create", "-", "--name", "pipe", "--dest", dest, "--no-encryption")
    second = answer(capsys, "create", tmp_path / "image", "--dest", dest)
    assert first["root"] == second["root"]
    assert second["chunks"] == 6


def test_a_segment_and_more_of_a_stream(
    dest: str, tmp_path: Path, piped: Pipe, capsys: pytest.CaptureFixture[str]
) -> None:
    """256 chunks of 1 MiB make a segment; nearly all are zeros here."""
    data = bytearray(258 * MIB + 5)
    data[255 * MIB] = data[256 * MIB] = data[-1] = 1
    piped.give(bytes(data), piece=MIB)
    made = answer(capsys, "create", "-", "--name", "pipe", "--dest", dest, "--no-encryption")
    assert (made["size"], made["chunks"]) == (len(data), 3)
    assert restored(capsys, made["url"], tmp_path) == data


def test_what_standard_input_must_be(dest: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, error = refuse(capsys, "create", "-", "--dest", dest, "--no-encryption")
    assert (code, "--name" in error) == (2, True)
    words = ["backup", "create", "-", "--name", "x", "--dest", dest, "--no-encryption"]
    command = [sys.executable, "-m", "drystone.cli.main", *words]
    ran = subprocess.run(command, check=False, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    assert ran.returncode == 0, "an empty stream is an image of no bytes"
    assert "nothing came from standard input" in ran.stderr


def test_progress_of_a_stream_has_no_end(dest: str, piped: Pipe, capsys: pytest.CaptureFixture[str]) -> None:
    piped.give(bytes(100_000))
    assert run(backup, ["create", "-", "--name", "x", "--dest", dest, "--no-encryption", "--json"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert lines[0] == {"progress": "backup", "done": 0, "rate": 0}
    assert not any("total" in line for line in lines)


def test_holes_of_a_file_are_not_read(dest: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "sparse"
    with path.open("wb") as file:
        file.truncate(2 << 30)
        file.seek(700 * MIB)
        file.write(random.Random(3).randbytes(MIB))
    made = answer(capsys, "create", path, "--dest", dest, "--no-encryption")
    assert made["size"] == 2 << 30
    assert 0 < made["read"] <= 3 * MIB
    again = answer(capsys, "create", path, "--dest", dest)
    assert (again["root"], again["stored"]) == (made["root"], 0)


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "image"
    path.write_bytes(random.Random(4).randbytes(48 * MIB))
    return path


def change(image: Path, *offsets: int) -> None:
    with image.open("r+b") as file:
        for offset in offsets:
            file.seek(offset)
            file.write(b"changed")


def test_changes_that_are_told(image: Path, dest: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = answer(capsys, "create", image, "--dest", dest, "--no-encryption")
    change(image, 5 * MIB, 40 * MIB)
    told = tmp_path / "changes"
    told.write_text(f"{5 * MIB} 4096\n{40 * MIB} 4096\n")
    words = ("create", image, "--dest", dest, "--changes", told)
    assert refuse(capsys, *words)[0] == 2, "a list is relative to a backup, which must be said"
    second = answer(capsys, *words, "--base", first["url"])
    assert second["read"] == 2 * MIB
    assert restored(capsys, second["url"], tmp_path) == image.read_bytes()


def test_a_list_that_leaves_out_changes_is_caught(
    image: Path, dest: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """32 of 47 chunks are looked at; 24 of those changed, so that all are missed with a chance of 1 in 10**13."""
    first = answer(capsys, "create", image, "--dest", dest, "--no-encryption")
    change(image, *range(0, 48 * MIB, 2 * MIB))
    told = tmp_path / "changes"
    told.write_text(f"{MIB} 4096\n")
    packs = set((tmp_path / "backups").rglob("packs/*/*"))
    code, error = refuse(capsys, "create", image, "--dest", dest, "--changes", told, "--base", first["url"])
    assert code == 10
    assert "does not tell all that changed: bytes" in error
    assert "--full" in error
    assert [each["url"] for each in answer(capsys, "list", dest)] == [first["url"]]
    assert set((tmp_path / "backups").rglob("packs/*/*")) == packs, "nothing is left of it"


def test_metrics_and_a_rate(image: Path, dest: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    metrics = tmp_path / "metrics.prom"
    words = ("--metrics", metrics, "--limit-rate", "1g", "--compression", "3", "--threads", "1", "--memory", "64m")
    made = answer(capsys, "create", image, "--dest", dest, "--no-encryption", *words)
    found = [each for family in text_string_to_metric_families(metrics.read_text()) for each in family.samples]
    assert all(each.labels == {"command": "create", "source": str(image)} for each in found)
    values = {each.name: each.value for each in found}
    assert values["drystone_backup_read_bytes"] == made["read"]
    assert values["drystone_backup_last_run_success"] == 1
    assert refuse(capsys, "create", image, "--dest", dest, "--limit-rate", "0")[0] == 2
    assert refuse(capsys, "create", tmp_path / "none", "--dest", dest, "--metrics", metrics)[0] == 3
    assert "drystone_backup_last_run_exit_code{" in metrics.read_text()
