"""`drystone backup create` as a process: Ctrl-C leaves nothing, SIGKILL nothing that `sweep` does not remove."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from blake3 import blake3

from drystone.backup.format.keys import OPEN, PACKS
from drystone.backup.repository import Repository, open_repository
from drystone.store.folder import FolderStore
from drystone.testing.repositories import sweep

SIZE = 96 << 20


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "image"
    path.write_bytes(blake3(b"image").digest(SIZE))
    return path


def create(image: Path, store: Path) -> subprocess.Popen[str]:
    words = ["create", str(image), "--dest", str(store), "--no-encryption", "--memory", "48m"]
    return subprocess.Popen(
        [sys.executable, "-m", "drystone.cli.main", "backup", *words],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def await_packs(process: subprocess.Popen[str], store: Path, count: int) -> None:
    """Until the backup has put more packs than there were, or has ended."""
    while process.poll() is None and len(list((store / PACKS).rglob("*"))) <= count:
        time.sleep(0.002)


def make_first(image: Path, store: Path) -> Repository:
    process = create(image, store)
    output, error = process.communicate(timeout=60)
    assert process.returncode == 0, error
    assert output.startswith(str(store))
    return open_repository(FolderStore(store))


def write_elsewhere(image: Path, seed: int) -> None:
    image.write_bytes(blake3(b"%d" % seed).digest(SIZE))


def names(store: Path) -> set[str]:
    return {key for key, _ in FolderStore(store).list("")}


def test_an_interrupt_takes_back_what_was_put(image: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    repository = make_first(image, store)
    before = names(store)
    write_elsewhere(image, 1)
    process = create(image, store)
    await_packs(process, store, len(list((store / PACKS).rglob("*"))) + 2)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 130
    assert names(store) == before
    assert sweep(repository) == (0, 0)


def test_kills_at_random_points(image: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    repository = make_first(image, store)
    (first,) = repository.list()
    rng = random.Random(5)
    for turn in range(6):
        write_elsewhere(image, turn)
        process = create(image, store)
        await_packs(process, store, len(list((store / PACKS).rglob("*"))) + rng.randrange(3))
        time.sleep(rng.uniform(0, 0.1))
        process.kill()
        process.communicate(timeout=60)
        for each in repository.list():
            repository.verify(each.volume, each.backup)
    sweep(repository)
    assert list(FolderStore(store).list(OPEN)) == []
    repository.verify(first.volume, first.backup)
    for each in repository.list():
        repository.delete(each.volume, each.backup)
    assert list(FolderStore(store).list(PACKS)) == []
    assert not [path for path in store.rglob(".*") if path.is_file()]
