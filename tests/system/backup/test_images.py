"""Images as QEMU sees them: qcow2 files that it checks and compares, and the NBD server at a unix socket."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from drystone.backup.reading.qcow2 import CLUSTER, Qcow2Writer
from drystone.backup.repository import BackupRequest, create_repository
from drystone.backup.source import DeviceSource
from drystone.backup.tuning import Tuning
from drystone.store.folder import FolderStore
from drystone.testing.convoy_store import BLOCK, ConvoyWriter

VOLUME = "11111111-1111-4111-8111-111111111111"
DRYSTONE = [sys.executable, "-m", "drystone.cli.main", "backup"]
TEXT = b"what can be compressed " * 3000


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """600 MiB, nearly all of them a hole: two tables of a qcow2 file; the end is within a cluster."""
    rng = random.Random(8)
    path = tmp_path_factory.mktemp("image") / "image"
    with path.open("wb") as file:
        for offset, data in (
            (0, rng.randbytes(300_000)),
            (5 << 20, TEXT * 30),
            (513 << 20, rng.randbytes(1 << 20)),
            ((600 << 20) + 512 - 4096, TEXT[:4096]),
        ):
            file.seek(offset)
            file.write(data)
    return path


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory, image: Path) -> str:
    folder = tmp_path_factory.mktemp("store")
    repository = create_repository(FolderStore(folder), tuning=Tuning(threads=2))
    with DeviceSource(image) as source:
        made = repository.create(source, BackupRequest(VOLUME, "image"))
    return f"{folder}?backup={made.backup}&volume={VOLUME}"


@pytest.fixture
def convoy_url(tmp_path: Path) -> tuple[str, bytes]:
    writer = ConvoyWriter(tmp_path / "convoy", named=True)
    data = random.Random(9).randbytes(BLOCK) + bytes(2 * BLOCK) + random.Random(10).randbytes(BLOCK)
    writer.write_volume("vol1", len(data))
    writer.write_backup("vol1", "backup-1", data)
    return f"{tmp_path / 'convoy'}?backup=backup-1&volume=vol1", data


def run(*words: str, code: int = 0) -> str:
    done = subprocess.run([*DRYSTONE, *words], capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    return done.stdout


def qemu(*words: str) -> str:
    return subprocess.run(["qemu-img", *words], capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("compress", [False, True])
def test_qemu_finds_the_qcow2_file_sound_and_equal(tmp_path: Path, image: Path, url: str, compress: bool) -> None:
    path = tmp_path / "image.qcow2"
    run("export", url, str(path), "--format", "qcow2", *(["--compress"] if compress else []))
    check = json.loads(qemu("check", "--output=json", str(path)))
    assert check["check-errors"] == 0
    assert not any(check.get(each) for each in ("leaks", "corruptions", "leaks-fixed"))
    assert bool(check.get("compressed-clusters")) is compress
    qemu("compare", "-f", "raw", "-F", "qcow2", str(image), str(path))
    assert path.stat().st_size < 4 << 20


def test_qemu_finds_an_image_of_20_tib_sound_and_its_clusters_in_place(tmp_path: Path) -> None:
    size, cluster = 20 << 40, random.Random(2).randbytes(CLUSTER)
    numbers = [0, (4 << 30) // CLUSTER - 1, (4 << 30) // CLUSTER, (1 << 40) // CLUSTER + 3, size // CLUSTER - 1]
    with (tmp_path / "q").open("wb") as file:

        def write(offset: int, data: bytes | memoryview) -> None:
            file.seek(offset)
            file.write(data)

        writer = Qcow2Writer(size, write)
        for each in numbers:
            writer.add(each, memoryview(cluster))
        writer.finish()
    check = json.loads(qemu("check", "--output=json", str(tmp_path / "q")))
    assert (check["check-errors"], check["allocated-clusters"]) == (0, len(numbers))
    assert not any(check.get(each) for each in ("leaks", "corruptions"))
    map_ = json.loads(qemu("map", "--output=json", str(tmp_path / "q")))
    data = [(each["start"], each["length"]) for each in map_ if each["data"]]
    assert data == [(each * CLUSTER, CLUSTER) for each in numbers]


@pytest.mark.parametrize("size", [1, 700_001])
def test_qemu_sees_an_image_that_ends_within_a_sector_to_its_end(tmp_path: Path, size: int) -> None:
    data = random.Random(size).randbytes(size)
    repository = create_repository(FolderStore(tmp_path / "store"))
    (tmp_path / "image").write_bytes(data)
    with DeviceSource(tmp_path / "image") as source:
        made = repository.create(source, BackupRequest(VOLUME, "image"))
    url = f"{tmp_path / 'store'}?backup={made.backup}&volume={VOLUME}"
    run("export", url, str(tmp_path / "q"), "--format", "qcow2")
    qemu("convert", "-O", "raw", str(tmp_path / "q"), str(tmp_path / "back"))
    assert (tmp_path / "back").read_bytes() == data.ljust(-(-size // 512) * 512, b"\0")


def test_a_raw_file_and_a_stream_are_the_image(tmp_path: Path, image: Path, url: str) -> None:
    run("export", url, str(tmp_path / "raw"))
    qemu("compare", "-f", "raw", "-F", "raw", str(image), str(tmp_path / "raw"))
    assert (tmp_path / "raw").stat().st_blocks * 512 < 8 << 20
    with (
        image.open("rb") as wanted,
        subprocess.Popen([*DRYSTONE, "export", url, "-"], stdout=subprocess.PIPE) as process,
    ):
        assert process.stdout is not None
        while piece := process.stdout.read(1 << 20):
            assert piece == wanted.read(len(piece))
        assert wanted.read(1) == b""
        assert process.wait() == 0


def test_a_reader_that_goes_away_ends_the_stream(url: str) -> None:
    process = subprocess.Popen([*DRYSTONE, "export", url, "-"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.read(1000)
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait(60) == 141
    process.stderr.close()


@pytest.fixture
def socket_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("s") / "nbd"


def test_qemu_reads_from_the_socket_and_cannot_write(tmp_path: Path, socket_path: Path, image: Path, url: str) -> None:
    process = subprocess.Popen(
        [*DRYSTONE, "mount", "--socket", str(socket_path), url], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        uri = process.stdout.readline().strip()
        assert uri == f"nbd+unix:///backup?socket={socket_path}"
        assert socket_path.stat().st_mode & 0o777 == 0o600
        told = json.loads(qemu("info", "--output=json", uri))
        assert told["virtual-size"] == image.stat().st_size
        qemu("compare", "-f", "raw", "-F", "raw", str(image), uri)
        qemu("convert", "-O", "qcow2", uri, str(tmp_path / "copy"))
        qemu("compare", "-f", "raw", "-F", "qcow2", str(image), str(tmp_path / "copy"))
        refused = subprocess.run(
            ["qemu-img", "convert", "-n", "-O", "raw", str(image), uri], capture_output=True, text=True, check=False
        )
        assert refused.returncode != 0
        qemu("compare", "-f", "raw", "-F", "raw", str(image), uri)
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
        process.communicate()
    assert not socket_path.exists()


def test_a_socket_in_the_background_is_ended_by_its_path(socket_path: Path, convoy_url: tuple[str, bytes]) -> None:
    url, data = convoy_url
    told = json.loads(run("mount", "--background", "--json", "--socket", str(socket_path), url))
    assert (told["size"], told["path"]) == (len(data), str(socket_path))
    qemu("convert", "-O", "raw", told["uri"], str(socket_path.with_name("raw")))
    assert socket_path.with_name("raw").read_bytes() == data
    run("mount", "--background", "--socket", str(socket_path), url, code=4)
    assert run("unmount", str(socket_path)) == f"{socket_path}\n"
    assert not socket_path.exists()
    run("unmount", str(socket_path), code=3)


def test_a_store_of_convoys_is_restored_exported_and_compared(tmp_path: Path, convoy_url: tuple[str, bytes]) -> None:
    url, data = convoy_url
    run("restore", url, str(tmp_path / "restored"))
    assert (tmp_path / "restored").read_bytes() == data
    run("export", url, str(tmp_path / "q"), "--format", "qcow2")
    qemu("compare", "-f", "raw", "-F", "qcow2", str(tmp_path / "restored"), str(tmp_path / "q"))
    with (tmp_path / "restored").open("r+b") as file:
        file.seek(3 * BLOCK - 4096)
        file.write(os.urandom(8192))
    found = json.loads(run("diff", "--json", "--exact", url, str(tmp_path / "restored")))
    assert found == {"bytes": 8192, "ranges": [[3 * BLOCK - 4096, 8192]]}
    done = json.loads(run("restore", "--json", "--in-place", url, str(tmp_path / "restored")))
    assert (done["written"], done["zeroed"]) == (BLOCK, BLOCK)
    assert json.loads(run("diff", "--json", url, str(tmp_path / "restored")))["bytes"] == 0
