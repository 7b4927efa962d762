"""Backups of era devices: chains, and everything that must end the chain."""

from __future__ import annotations

import json
import random
import re
import shutil
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from drystone.backup.repository import open_repository
from drystone.cli.backup import backup
from drystone.formats.era.tag import read_sessions
from drystone.kernel.blockdev import open_device
from drystone.kernel.dm.nodes import leads_to
from drystone.kernel.queue import lets_discards_through
from drystone.store.folder import FolderStore

from .conftest import BLOCK, CREATE, METADATA, ORIGIN, read_all

if TYPE_CHECKING:
    from .conftest import Bench

pytestmark = [
    pytest.mark.lab(memory="768M", disks=["8M", "16M"], modules=["dm-era", "dm-thin-pool", "dm-delay"]),
    pytest.mark.usefixtures("empty_store"),
]

SIZE = 16 << 20


@pytest.fixture
def empty_store() -> None:
    shutil.rmtree("/tmp/store", ignore_errors=True)


def restored(made: dict[str, Any], tmp_path: Path) -> bytes:
    repository = open_repository(FolderStore("/tmp/store"))
    repository.verify(made["volume"], made["backup"])
    target = tmp_path / "restored"
    repository.restore(made["volume"], made["backup"], str(target), overwrite=True)
    return target.read_bytes()


def reason(made: dict[str, Any]) -> str:
    """Why everything was read; "" for an incremental backup."""
    told = [each for each in made["warnings"] if each.startswith("everything was read: ")]
    assert (made["about"]["era.since"] == "") == bool(told)
    assert (made["read"] == SIZE) == bool(told)
    return told[0].removeprefix("everything was read: ") if told else ""


def test_a_chain_over_restarts(bench: Bench, db: str, tmp_path: Path) -> None:
    rng = random.Random(3)
    with open_device(db, write=True) as device:
        device.pwrite(0, rng.randbytes(4 << 20))
    made = bench.back_up()
    assert reason(made) == "there is no backup to build upon"
    kept: list[tuple[dict[str, Any], bytes]] = [(made, read_all(ORIGIN))]
    for turn in range(5):
        for _ in range(5):
            bench.write(rng.randrange(SIZE // BLOCK), rng.randbytes(4096), offset=rng.randrange(0, BLOCK - 4096, 512))
        if turn % 2:
            bench.era("remove", "db")
            bench.era(*CREATE, "--continue")
        if turn == 3:
            bench.era("checkpoint", "db")
        made = bench.back_up()
        assert reason(made) == ""
        assert 0 < made["read"] < SIZE / 2
        kept.append((made, read_all(ORIGIN)))
    for made, image in kept:
        assert restored(made, tmp_path) == image
    assert bench.back_up()["read"] == 0


@pytest.mark.usefixtures("db")
def test_what_ends_a_chain(bench: Bench, tmp_path: Path) -> None:
    bench.back_up()
    bench.era("remove", "db")
    bench.era(*CREATE, "--force")
    bench.write(3, b"anew")
    assert "made anew" in reason(bench.back_up())
    bench.era("remove", "db")
    bench.era(*CREATE, "--force", "--block-size", "128k")
    assert "made anew" in reason(bench.back_up())
    assert reason(bench.back_up()) == ""
    (line,) = bench.dm.table("db")
    bench.reload("db", "era", line.length, line.params)
    bench.write(4, b"after")
    failing = ["create", "/dev/mapper/db", "--dest", "/tmp/store", "--base", "11111111-1111-4111-8111-111111111111"]
    code, _, _ = bench.run(backup, failing)
    assert (code != 0, lets_discards_through(bench.dm.info("db").number)) == (True, False)
    made = bench.back_up()
    assert "let discards through" in reason(made)
    assert restored(made, tmp_path) == read_all(ORIGIN)
    assert reason(bench.back_up()) == "", "discards are refused from then on"
    bench.era("remove", "db")
    bench.activate("db", "era", line.length, line.params)
    assert "let discards through" in reason(bench.back_up())
    code, out, _ = bench.run(backup, ["create", "/dev/mapper/db", "--dest", "/tmp/store", "--full", "--json"])
    assert (code, json.loads(out)["read"]) == (0, SIZE)


def test_metadata_of_an_older_time_and_without_a_tag(bench: Bench, db: str) -> None:
    """The metadata is put back from a copy: its eras are not those of the last backup, though the numbers may fit."""
    bench.era("remove", "db")
    with open_device(METADATA) as device:
        old = device.pread(0, device.size)
    bench.era(*CREATE, "--continue")
    bench.back_up()
    bench.era("remove", "db")
    with open_device(METADATA, write=True) as device:
        device.pwrite(0, old)
    bench.era(*CREATE, "--continue")
    assert "of an older time" in reason(bench.back_up())
    bench.era("remove", "db")
    with open_device(METADATA, write=True) as device:
        device.zero_out(0, 4096)
    number = (leads_to(METADATA), leads_to(ORIGIN))
    bench.activate("db", "era", SIZE // 512, f"{number[0]} {number[1]} 128")
    for _ in range(30):
        bench.era("checkpoint", "db")
    for _ in range(2):
        assert "no tag" in reason(bench.back_up())


@pytest.mark.parametrize("activations", [1, 4])
def test_device_and_metadata_go_back_to_an_earlier_moment(
    bench: Bench, db: str, tmp_path: Path, activations: int
) -> None:
    """As when a virtual machine goes back to a snapshot of its disks, taken while they were in use."""
    bench.back_up()
    bench.write(3, b"before")
    disks = [(path, read_all(path)) for path in (METADATA, ORIGIN)]
    bench.write(4, b"forgotten")
    bench.back_up()
    bench.era("remove", "db")
    for path, data in disks:
        with open_device(path, write=True) as device:
            device.pwrite(0, data)
    for turn in range(activations):
        if turn:
            bench.era("remove", "db")
        bench.era(*CREATE, "--continue")
    made = bench.back_up()
    assert "of an older time" in reason(made)
    assert restored(made, tmp_path) == read_all(db) == disks[1][1]
    bench.write(5, b"goes on")
    assert reason(bench.back_up()) == ""


def test_the_first_eras_of_sessions(bench: Bench, db: str) -> None:
    for _ in range(3):
        era = bench.era_json("status", "db")["era"]
        with open_device(METADATA) as device:
            assert read_sessions(device.pread(0, 4096))[0].first_era == era
        bench.write(1, b"x", db)
        bench.era("checkpoint", "db")
        bench.era("remove", "db")
        bench.era(*CREATE, "--continue")


def test_a_resized_origin(bench: Bench, tmp_path: Path) -> None:
    number = leads_to(ORIGIN)
    words = ("create", "top", "--metadata", METADATA, "--origin", "/dev/mapper/lower")
    bench.activate("lower", "linear", 16384, f"{number} 0")
    bench.era(*words)
    bench.write(1, b"a" * 4096, "/dev/mapper/top")
    bench.back_up(source="/dev/mapper/top")
    for sectors in (32768, 16384):
        bench.era("remove", "top")
        bench.reload("lower", "linear", sectors, f"{number} 0")
        bench.era(*words, "--continue")
        bench.write(2, b"b" * 4096, "/dev/mapper/top")
        made = bench.back_up(source="/dev/mapper/top")
        assert made["about"]["era.since"] == ""
        assert restored(made, tmp_path) == read_all("/dev/mapper/lower")
        made = bench.back_up(source="/dev/mapper/top")
        assert (made["about"]["era.since"] != "", made["read"]) == (True, 0)


def test_shrunk_and_grown_between_two_backups(bench: Bench, tmp_path: Path) -> None:
    """The same size again, but the kernel has forgotten the eras of what was cut off."""
    number = leads_to(ORIGIN)
    words = ("create", "top", "--metadata", METADATA, "--origin", "/dev/mapper/lower")
    bench.activate("lower", "linear", 32768, f"{number} 0")
    bench.era(*words)
    bench.back_up(source="/dev/mapper/top")
    bench.write(200, b"late" * 1024, "/dev/mapper/top")
    for sectors in (16384, 32768):
        bench.era("remove", "top")
        bench.reload("lower", "linear", sectors, f"{number} 0")
        bench.era(*words, "--continue")
    assert bench.era_json("changed", "top", "--since", "1")["ranges"] == []
    made = bench.back_up(source="/dev/mapper/top")
    assert restored(made, tmp_path) == read_all("/dev/mapper/lower")


@pytest.mark.usefixtures("db")
def test_the_state_file(bench: Bench, tmp_path: Path) -> None:
    path = tmp_path / "state"
    words = ("--state", str(path))
    assert "there is no state file" in reason(bench.back_up(*words))
    bench.write(9, b"x")
    second = bench.back_up(*words)
    assert reason(second) == ""
    older = path.read_bytes()
    bench.write(10, b"y")
    assert reason(bench.back_up(*words)) == ""
    path.write_bytes(older)  # as a crash leaves it: the backup is there, the file not yet
    made = bench.back_up(*words)
    assert (reason(made), made["parent"], made["read"]) == ("", second["backup"], 1 << 20)
    assert restored(made, tmp_path) == read_all(ORIGIN)
    forged = re.sub(rb'"next_era": ([0-9]+)', rb'"next_era": 1\1', older)
    for data in (b"", older[:100], forged, b"{}" * 99999):
        path.write_bytes(data)
        assert "state file" in reason(bench.back_up(*words)), data
    open_repository(FolderStore("/tmp/store")).delete(second["volume"], second["backup"])
    path.write_bytes(older)
    assert "is not there" in reason(bench.back_up(*words))
    other = bench.back_up("--name", "another", *words)
    assert "of another source" in reason(other)
    code, _, message = bench.run(backup, ["create", "/dev/mapper/db", "--dest", "/tmp/store", "--state", "/dev/null"])
    assert (code, "no plain file" in message) == (2, True)
    assert reason(bench.back_up(*words, "--name", "another")) == ""
    code, _, message = bench.run(backup, ["create", ORIGIN, "--dest", "/tmp/store", *words])
    assert (code, "for era devices" in message) == (2, True)


def test_a_write_on_its_way(bench: Bench, tmp_path: Path) -> None:
    """It is recorded in an era, and lands when two more have begun: no backup may have it too early or never."""
    number = leads_to(ORIGIN)
    bench.activate("slow", "delay", SIZE // 512, f"{number} 0 0 {number} 0 1500")
    bench.era("create", "db", "--metadata", METADATA, "--origin", "/dev/mapper/slow")
    bench.back_up()
    for turn in range(2):

        def write(turn: int = turn) -> None:
            with open_device("/dev/mapper/db", write=True) as device:
                for block in range(2):
                    device.pwrite((2 * turn + block) * (2 << 20), bytes([turn + 1]) * BLOCK)

        writer = threading.Thread(target=write)
        writer.start()
        threading.Event().wait(0.3)
        bench.era("checkpoint", "db")
        bench.back_up()
        writer.join()
    made = bench.back_up()
    assert reason(made) == ""
    assert restored(made, tmp_path) == read_all(ORIGIN)


def test_from_a_snapshot_of_the_data(bench: Bench, tmp_path: Path) -> None:
    """Era over thin: the era begins, a snapshot of the origin is taken, and it is backed up while writes go on."""
    number = leads_to(ORIGIN)
    bench.activate("poolmeta", "linear", 4096, f"{number} 0")
    bench.activate("pooldata", "linear", 24576, f"{number} 8192")
    pool = bench.activate("pool", "thin-pool", 24576, "/dev/mapper/poolmeta /dev/mapper/pooldata 128 0")
    bench.dm.message("pool", "create_thin 0")
    bench.activate("thin", "thin", SIZE // 512, f"{pool.number} 0")
    bench.era("create", "db", "--metadata", METADATA, "--origin", "/dev/mapper/thin")
    images: list[tuple[dict[str, Any], bytes]] = []
    for turn in range(1, 4):
        bench.write(turn, bytes([turn]) * BLOCK)
        era = bench.era("checkpoint", "db", "--drain").strip()
        bench.dm.suspend("thin")
        bench.dm.message("pool", f"create_snap {turn} 0")
        bench.dm.resume("thin")
        snapshot = f"snapshot{turn}"
        bench.activate(snapshot, "thin", SIZE // 512, f"{pool.number} {turn}")
        bench.write(50 + turn, b"too late" * 512)
        words = ("--data", f"/dev/mapper/{snapshot}", "--at-era", era)
        made = bench.back_up(*words)
        assert (made["about"]["era.since"] == "") == (turn == 1)
        images.append((made, read_all(f"/dev/mapper/{snapshot}")))
    for made, image in images:
        assert restored(made, tmp_path) == image
    made = bench.back_up("--data", "/dev/mapper/snapshot1", "--at-era", "2")
    assert made["about"]["era.since"] == "", "older than the base"
    assert restored(made, tmp_path) == images[0][1]
    for more in ([], ["--at-era", "999"]):
        wanted = ["create", "/dev/mapper/db", "--dest", "/tmp/store", "--data", "/dev/mapper/snapshot1", *more]
        assert bench.run(backup, wanted)[0] == 2
    wanted = ["create", "/dev/mapper/db", "--dest", "/tmp/store", "--data", "/dev/mapper/pooldata", "--at-era", "3"]
    assert bench.run(backup, wanted)[0] == 11


def test_a_write_on_its_way_to_a_snapshot_of_the_data(bench: Bench, tmp_path: Path) -> None:
    """Between the era device and the thin device is a slow one: the thin device cannot wait for what it does not know.

    Without --drain the write is in neither backup.
    """
    number = leads_to(ORIGIN)
    bench.activate("poolmeta", "linear", 4096, f"{number} 0")
    bench.activate("pooldata", "linear", 24576, f"{number} 8192")
    pool = bench.activate("pool", "thin-pool", 24576, "/dev/mapper/poolmeta /dev/mapper/pooldata 128 0")
    bench.dm.message("pool", "create_thin 0")
    thin = bench.activate("thin", "thin", SIZE // 512, f"{pool.number} 0")
    bench.activate("slow", "delay", SIZE // 512, f"{thin.number} 0 0 {thin.number} 0 700")
    bench.era("create", "db", "--metadata", METADATA, "--origin", "/dev/mapper/slow")
    writer = threading.Thread(target=bench.write, args=(7, b"slow" * 1024))
    for turn in (1, 2):
        if turn == 1:
            writer.start()
            threading.Event().wait(0.2)
        era = bench.era("checkpoint", "db", "--drain").strip()
        bench.dm.suspend("thin")
        bench.dm.message("pool", f"create_snap {turn} 0")
        bench.dm.resume("thin")
        snapshot = f"snapshot{turn}"
        bench.activate(snapshot, "thin", SIZE // 512, f"{pool.number} {turn}")
        made = bench.back_up("--data", f"/dev/mapper/{snapshot}", "--at-era", era)
        if turn == 1:
            writer.join()
    assert reason(made) == ""
    assert restored(made, tmp_path)[7 * BLOCK :].startswith(b"slow")
