"""Era devices made, asked and removed by the commands, on a real kernel."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from drystone.cli.dvm import dvm
from drystone.formats.era.superblock import parse_superblock
from drystone.formats.era.tag import read_tag
from drystone.kernel.blockdev import open_device
from drystone.kernel.dm.abc import TableLine
from drystone.kernel.dm.nodes import leads_to, make_node, node_path
from drystone.kernel.queue import lets_discards_through

from .conftest import BLOCK, CREATE, METADATA, ORIGIN, read_all

if TYPE_CHECKING:
    from .conftest import Bench

pytestmark = pytest.mark.lab(memory="384M", disks=["8M", "32M"], modules=["dm-era", "dm-thin-pool"])


def first_block() -> bytes:
    with open_device(METADATA) as device:
        return device.pread(0, 4096)


def test_create_status_checkpoint_snapshot_drop_remove(bench: Bench) -> None:
    before = read_all(ORIGIN)
    assert bench.era(*CREATE) == "/dev/mapper/db\n"
    status = bench.era_json("status", "db")
    assert (status["size"], status["block_size"], status["blocks"], status["held"]) == (32 << 20, BLOCK, 512, None)
    assert leads_to(status["metadata"]) == leads_to(METADATA)
    assert leads_to(status["origin"]) == leads_to(ORIGIN)
    assert status["discards"] is False
    era = status["era"]
    assert bench.era("checkpoint", "db") == f"{era + 1}\n"
    assert bench.era_json("checkpoint", "/dev/mapper/db") == {"device": "db", "era": era + 2}
    assert bench.era_json("checkpoint", "db", "--drain")["era"] == era + 3
    held = bench.era_json("snapshot", "db")
    after = bench.era_json("status", "db")
    assert (after["held"], after["era"]) == (held["held"], held["era"] + 1)
    assert "held already" in bench.refused("snapshot", "db")[1]
    assert bench.era_json("snapshot", "db", "--replace")["era"] == held["era"] + 2
    bench.era("drop", "db")
    assert bench.refused("drop", "db")[0] == 3
    assert bench.era("remove", "db") == ""
    assert leads_to(node_path("db")) is None
    assert bench.dm.list_devices() == []
    assert read_all(ORIGIN) == before


def test_the_tag_stays_with_the_metadata(bench: Bench, db: str) -> None:
    """The kernel keeps what it does not know of the superblock, in its copy for a metadata snapshot too."""
    tag = bench.era_json("status", "db")["tag"]
    for block in range(20):
        bench.write(block, b"x" * 4096)
        bench.era("checkpoint", "db")
    held = bench.era_json("snapshot", "db")["held"]
    with open_device(METADATA) as device:
        assert read_tag(device.pread(held * 4096, 4096)) == tag
    bench.era("drop", "db")
    bench.era("remove", "db")
    assert read_tag(first_block()) == tag
    parse_superblock(first_block())
    assert bench.era_json(*CREATE, "--continue")["tag"] == tag
    bench.era("remove", "db")
    assert bench.era_json(*CREATE, "--force")["tag"] != tag


def test_metadata_that_is_not_empty(bench: Bench) -> None:
    with open_device(METADATA, write=True) as device:
        device.pwrite(5000, b"below the first block nobody looks")
        device.pwrite(1024, b"something")
    code, message = bench.refused(*CREATE)
    assert (code, "is not empty" in message, "--force" in message) == (13, True, True)
    assert first_block()[1024:1033] == b"something"
    assert bench.refused(*CREATE, "--continue")[0] == 10
    bench.era(*CREATE, "--force")
    bench.era("remove", "db")
    code, message = bench.refused(*CREATE)
    assert (code, "--continue" in message) == (13, True)
    assert bench.refused(*CREATE, "--continue", "--block-size", "32k")[0] == 11
    subprocess.run(["mkfs.ext4", "-q", "-F", METADATA], check=True)
    assert "it has ext4" in bench.refused(*CREATE)[1]


def test_a_kernel_that_refuses_leaves_nothing(bench: Bench) -> None:
    """Only the first block of the metadata device can be written: what was on it is there again."""
    number = leads_to(METADATA)
    bench.dm.create("half")
    bench.dm.load("half", [TableLine(0, 8, "linear", f"{number} 0"), TableLine(8, 8184, "error")])
    make_node("half", bench.dm.resume("half").number)
    with open_device(METADATA, write=True) as device:
        device.pwrite(0, b"precious" * 512)
    words = ("create", "db", "--metadata", "/dev/mapper/half", "--origin", ORIGIN, "--force")
    assert bench.refused(*words)[0] in {2, 12}
    assert [entry.name for entry in bench.dm.list_devices()] == ["half"]
    assert first_block() == b"precious" * 512


def test_sizes_and_names(bench: Bench, db: str) -> None:
    assert bench.refused(*CREATE)[0] == 4
    bench.era("remove", "db")
    for words in (["--block-size", "6k"], ["--block-size", "0"], ["--force", "--continue"]):
        assert bench.refused(*CREATE, *words)[0] == 2
    assert bench.refused("create", "a/b", "--metadata", METADATA, "--origin", ORIGIN)[0] == 2
    assert bench.refused("create", "db", "--metadata", METADATA, "--origin", METADATA)[0] == 2
    assert bench.refused("create", "db", "--metadata", METADATA, "--origin", "/dev/nothing")[0] == 3
    bench.era(*CREATE, "--force", "--block-size", "20k")
    assert bench.era_json("status", "db")["blocks"] == -(-(32 << 20) // 20480)


def test_devices_in_use(bench: Bench, db: str) -> None:
    code, message = bench.refused("create", "two", "--metadata", METADATA, "--origin", "/dev/mapper/db")
    assert (code, "in use: used by /dev/mapper/db" in message) == (5, True)
    subprocess.run(["mkfs.ext4", "-q", db], check=True)
    subprocess.run(["mkdir", "-p", "/tmp/mount"], check=True)
    subprocess.run(["mount", db, "/tmp/mount"], check=True)
    try:
        assert bench.refused("remove", "db")[0] == 5
        assert bench.era_json("checkpoint", "db", "--drain")["era"] > 0
    finally:
        subprocess.run(["umount", "/tmp/mount"], check=True)
    bench.dm.suspend("db")
    for verb in ("status", "checkpoint", "snapshot", "drop"):
        code, message = bench.refused(verb, "db")
        assert (code, "suspended" in message) == (5, True)
    bench.dm.resume("db")
    assert bench.refused("status", "nobody")[0] == 3
    bench.activate("zeros", "zero", 8, "")
    assert bench.refused("status", "zeros")[0] == 2


def test_discards_are_refused(bench: Bench, db: str) -> None:
    """On this kernel a discard of many blocks marks the first one only: nobody may send any."""
    bench.write(10, b"x" * BLOCK * 4)
    done = subprocess.run(["blkdiscard", "-o", str(10 * BLOCK), "-l", str(4 * BLOCK), db], check=False)
    assert done.returncode
    number = bench.dm.info("db").number
    (line,) = bench.dm.table("db")
    bench.reload("db", "era", line.length, line.params)
    assert lets_discards_through(number), "a swapped table brings them back"
    assert bench.era_json("status", "db")["discards"] is True
    bench.era("remove", "db")
    bench.era(*CREATE, "--continue")
    assert bench.era_json("status", "db")["discards"] is False


def test_over_linear_and_thin_devices(bench: Bench) -> None:
    """An era target on top of other device-mapper devices; removal gives them back as they are."""
    number = leads_to(ORIGIN)
    bench.activate("lower", "linear", 8192, f"{number} 2048")
    bench.write(3, b"before" * 1000, "/dev/mapper/lower")
    bench.era("create", "top", "--metadata", METADATA, "--origin", "/dev/mapper/lower")
    assert bench.refused("create", "second", "--metadata", METADATA, "--origin", "/dev/mapper/lower")[0] == 5
    bench.write(4, b"through" * 1000, "/dev/mapper/top")
    whole = read_all("/dev/mapper/top")
    bench.era("remove", "top")
    assert read_all("/dev/mapper/lower") == whole
    assert whole[3 * BLOCK :].startswith(b"before")
    assert whole[4 * BLOCK :].startswith(b"through")
    bench.remove_all()
    bench.activate("poolmeta", "linear", 4096, f"{number} 0")
    bench.activate("pooldata", "linear", 40960, f"{number} 8192")
    with open_device("/dev/mapper/poolmeta", write=True) as device:
        device.zero_out(0, 4096)
    pool = bench.activate("pool", "thin-pool", 40960, "/dev/mapper/poolmeta /dev/mapper/pooldata 128 0")
    bench.dm.message("pool", "create_thin 0")
    bench.activate("thin", "thin", 65536, f"{pool.number} 0")
    bench.era("create", "top", "--metadata", METADATA, "--origin", "/dev/mapper/thin", "--force")
    bench.write(7, b"t" * BLOCK, "/dev/mapper/top")
    bench.era("remove", "top")
    assert read_all("/dev/mapper/thin") == bytes(7 * BLOCK) + b"t" * BLOCK + bytes((512 - 8) * BLOCK)


@pytest.mark.parametrize("way", ["grows", "shrinks"])
def test_a_resized_origin(bench: Bench, way: str) -> None:
    number = leads_to(ORIGIN)
    sizes = (8192, 16384) if way == "grows" else (16384, 8192)
    words = ("create", "top", "--metadata", METADATA, "--origin", "/dev/mapper/lower")
    bench.activate("lower", "linear", sizes[0], f"{number} 0")
    tag = bench.era_json(*words)["tag"]
    bench.write(2, b"x" * 4096, "/dev/mapper/top")
    bench.era("remove", "top")
    bench.reload("lower", "linear", sizes[1], f"{number} 0")
    made = bench.era_json(*words, "--continue")
    assert (made["tag"] == tag) == (way == "grows")
    assert "has grown" in made["notes"][0] if way == "grows" else "has shrunk" in made["notes"][0]
    assert bench.era_json("status", "top")["blocks"] == sizes[1] // 128
    assert bench.era_json("changed", "top", "--since", "1")["ranges"] == [[2 * BLOCK, BLOCK]]


@pytest.mark.parametrize("force", [True, False])
def test_a_dry_run_changes_nothing_and_its_programs_run(bench: Bench, force: bool, tmp_path: Path) -> None:
    if force:
        with open_device(METADATA, write=True) as device:
            device.pwrite(0, b"old" * 1000)
    before = first_block()
    words = [*CREATE, *(["--force"] if force else [])]
    assert "create the device db" in bench.era(*words, "--dry-run")
    (preview,) = json.loads(bench.era(*words, "--dry-run", "--json"))
    assert (first_block(), bench.dm.list_devices()) == (before, [])
    program = tmp_path / "program.json"
    program.write_text(json.dumps(preview["program"]))
    assert bench.run(dvm, ["dmexec", str(program)])[0] == 0
    assert parse_superblock(first_block()).current_era == 1
    (preview,) = json.loads(bench.era(*CREATE, "--continue", "--dry-run", "--json"))
    program.write_text(json.dumps(preview["program"]))
    assert bench.run(dvm, ["dmexec", str(program)])[0] == 0
    assert bench.era_json("status", "db")["tag"] == read_tag(first_block()) != ""
    for verb in ("checkpoint", "snapshot", "drop", "remove"):
        if verb == "drop":
            bench.era("snapshot", "db")
        era = bench.era_json("status", "db")["era"]
        (preview,) = json.loads(bench.era(verb, "db", "--dry-run", "--json"))
        assert preview["program"]["instructions"]
        assert bench.era_json("status", "db")["era"] == era
