"""`era changed` and `thin changed` on active devices, on metadata devices, and on copies."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from drystone.backup.era_source import read_changes
from drystone.cli.backup.era import find_era_disk
from drystone.dvm.metadata_snapshot import ERA
from drystone.kernel.blockdev import open_device
from drystone.kernel.dm.abc import Ref
from drystone.kernel.dm.device_mapper import KernelDeviceMapper
from drystone.kernel.dm.nodes import leads_to

from .conftest import BLOCK, CREATE, METADATA, ORIGIN, blocks_of, read_all

if TYPE_CHECKING:
    from .conftest import Bench

pytestmark = pytest.mark.lab(memory="384M", disks=["8M", "32M"], modules=["dm-era", "dm-thin-pool", "dm-delay"])


def changed_blocks(bench: Bench, since: int, *words: str) -> list[int]:
    return blocks_of(bench.era_json("changed", "--since", str(since), *words)["ranges"])


@pytest.mark.usefixtures("db")
def test_every_write_since_an_era(bench: Bench) -> None:
    rng = random.Random(1)
    written: dict[int, set[int]] = {}
    for _ in range(8):
        era = bench.era_json("checkpoint", "db")["era"]
        written[era] = {rng.randrange(512) for _ in range(20)}
        for block in written[era]:
            bench.write(block, b"w" * 512, offset=rng.randrange(0, BLOCK, 512))
    for since in written:
        wanted = sorted({block for era, blocks in written.items() if era >= since for block in blocks})
        assert changed_blocks(bench, since, "db") == wanted
    answer = bench.era_json("changed", "--since", "1", "/dev/mapper/db")
    assert (answer["device"], answer["size"], answer["block_size"]) == ("/dev/mapper/db", 32 << 20, BLOCK)
    bench.write(5, b"later")
    assert changed_blocks(bench, answer["next_era"], "db") == [5]
    assert bench.era_json("status", "db")["held"] is None


@pytest.mark.usefixtures("db")
def test_text_and_bitmap_say_the_same(bench: Bench, tmp_path: Path) -> None:
    for block in (0, 1, 2, 9, 100, 511):
        bench.write(block, b"x")
    assert bench.era("changed", "--since", "1", "db").splitlines() == [
        f"{begin * BLOCK} {length * BLOCK}" for begin, length in ((0, 3), (9, 1), (100, 1), (511, 1))
    ]
    path = tmp_path / "bits"
    assert bench.era("changed", "--since", "1", "db", "--bitmap", str(path)) == ""
    bits = path.read_bytes()
    assert [number for number in range(len(bits) * 8) if bits[number // 8] >> number % 8 & 1] == [0, 1, 2, 9, 100, 511]
    assert len(bits) == 64
    told = bench.era_json("changed", "--since", "1", "db", "--bitmap", str(path))
    assert (told["changed_blocks"], told["bytes"], "ranges" in told) == (6, 64, False)


@pytest.mark.usefixtures("db")
def test_the_last_block_ends_with_the_device(bench: Bench) -> None:
    bench.era("remove", "db")
    number = leads_to(ORIGIN)
    bench.activate("odd", "linear", 128 * 3 + 8, f"{number} 0")
    bench.era("create", "odder", "--metadata", METADATA, "--origin", "/dev/mapper/odd", "--force")
    with open_device("/dev/mapper/odder", write=True) as device:
        device.pwrite(3 * BLOCK, b"e" * 4096)
        device.flush()
    assert bench.era_json("changed", "odder", "--since", "1")["ranges"] == [[3 * BLOCK, 4096]]


@pytest.mark.usefixtures("db")
def test_metadata_devices_and_copies(bench: Bench, tmp_path: Path) -> None:
    bench.write(3, b"x")
    code, message = bench.refused("changed", "--since", "1", METADATA)
    assert (code, "name the era device" in message) == (5, True)
    assert bench.refused("changed", "-m", "--since", "1", METADATA)[0] == 3
    bench.era("snapshot", "db")
    bench.write(4, b"x")
    assert changed_blocks(bench, 1, "-m", METADATA) == [3]
    assert changed_blocks(bench, 1, "-m", "db") == [3]
    code, message = bench.refused("changed", "--since", "1", "db")
    assert (code, "drystone era drop db" in message) == (5, True)
    bench.era("drop", "db")
    bench.era("remove", "db")
    assert changed_blocks(bench, 1, METADATA) == [3, 4]
    copy = tmp_path / "copy"
    copy.write_bytes(read_all(METADATA))
    answer = bench.era_json("changed", "--since", "1", str(copy))
    assert blocks_of(answer["ranges"]) == [3, 4]
    bench.era(*CREATE, "--continue")
    bench.write(8, b"x")
    assert changed_blocks(bench, answer["next_era"], "db") == [8]


@pytest.mark.usefixtures("db")
def test_an_era_that_has_not_come(bench: Bench) -> None:
    code, message = bench.refused("changed", "--since", "4000", "db")
    assert (code, "has not come yet" in message) == (11, True)
    assert bench.refused("changed", "--since", "0", "db")[0] == 2
    assert bench.era_json("status", "db")["held"] is None


@pytest.mark.usefixtures("db")
def test_a_stale_snapshot_is_dropped_first(bench: Bench) -> None:
    bench.dm.message("db", "take_metadata_snap")
    bench.write(3, b"x")
    assert changed_blocks(bench, 1, "db") == [3]
    assert bench.era_json("status", "db")["held"] is None


@pytest.mark.usefixtures("db")
def test_it_is_dropped_when_the_reader_of_stdout_goes_away(bench: Bench) -> None:
    command = f"{sys.executable} -m drystone.cli.main era changed --since 1 db --json | true"
    subprocess.run(["/bin/sh", "-c", command], check=False, capture_output=True)
    assert bench.era_json("status", "db")["held"] is None


def test_writes_on_their_way_are_waited_for(bench: Bench) -> None:
    """A write is recorded, then passed on. While it is on its way eras change, and its block is copied too early."""
    number = leads_to(ORIGIN)
    bench.activate("slow", "delay", 65536, f"{number} 0 0 {number} 0 700")
    bench.era("create", "db", "--metadata", METADATA, "--origin", "/dev/mapper/slow")
    begun = threading.Event()

    def write() -> None:
        with open_device("/dev/mapper/db", write=True) as device:
            begun.set()
            device.pwrite(7 * BLOCK, b"slow" * 1024)

    writer = threading.Thread(target=write)
    writer.start()
    begun.wait()
    os.sched_yield()
    threading.Event().wait(0.2)
    answer = bench.era_json("changed", "--since", "1", "db")
    with open_device("/dev/mapper/db") as device:
        copied = device.pread(7 * BLOCK, 4096)
    writer.join()
    assert 7 in blocks_of(answer["ranges"])
    assert copied == b"slow" * 1024 or 7 in changed_blocks(bench, answer["next_era"], "db")
    assert copied == b"slow" * 1024


class Meddled(KernelDeviceMapper):
    """In which something happens just before a metadata snapshot is taken."""

    def __init__(self, meddle: Callable[[], object]) -> None:
        super().__init__()
        self.meddle = meddle

    def message(self, ref: Ref, text: str, *, sector: int = 0) -> str:
        if text == ERA.take:
            self.meddle()
        return super().message(ref, text, sector=sector)


def test_a_write_on_its_way_while_others_begin_eras(bench: Bench) -> None:
    """A slow write is recorded, somebody else's checkpoint begins an era, and only then the snapshot is taken."""
    number = leads_to(ORIGIN)
    bench.activate("slow", "delay", 65536, f"{number} 0 0 {number} 0 700")
    bench.era("create", "db", "--metadata", METADATA, "--origin", "/dev/mapper/slow")
    writer = threading.Thread(target=bench.write, args=(7, b"slow" * 1024))

    def meddle() -> None:
        writer.start()
        threading.Event().wait(0.2)
        bench.dm.message("db", "checkpoint")

    with Meddled(meddle) as meddled:
        disk = find_era_disk(meddled, Path("/dev/mapper/db"), [])
        assert disk is not None
        first = read_changes(disk, None)
        with open_device("/dev/mapper/db") as device:
            copied = device.pread(7 * BLOCK, 4096)
        writer.join()
    disk = find_era_disk(bench.dm, Path("/dev/mapper/db"), [])
    assert disk is not None
    second = read_changes(disk, first.state)
    assert second.choice.since == first.state.next_era
    assert copied == b"slow" * 1024 or blocks_of(second.ranges.tolist()) == [7]


def test_a_kept_snapshot_waits_for_the_writes_that_it_tells_of(bench: Bench) -> None:
    number = leads_to(ORIGIN)
    bench.activate("slow", "delay", 65536, f"{number} 0 0 {number} 0 700")
    bench.era("create", "db", "--metadata", METADATA, "--origin", "/dev/mapper/slow")
    writer = threading.Thread(target=bench.write, args=(7, b"slow" * 1024))
    writer.start()
    threading.Event().wait(0.2)
    bench.era("snapshot", "db")
    answer = bench.era_json("changed", "-m", "--since", "1", "db")
    with open_device("/dev/mapper/db") as device:
        copied = device.pread(7 * BLOCK, 4096)
    writer.join()
    bench.era("drop", "db")
    assert blocks_of(answer["ranges"]) == [7]
    assert copied == b"slow" * 1024
    assert changed_blocks(bench, answer["next_era"], "db") == []


def test_killed_while_it_waits_for_writes(bench: Bench) -> None:
    """The origin answers nobody, so that waiting does not end. The device runs, and the next one drops the snapshot."""
    number = leads_to(ORIGIN)
    bench.activate("stuck", "linear", 65536, f"{number} 0")
    bench.era("create", "db", "--metadata", METADATA, "--origin", "/dev/mapper/stuck")
    bench.dm.suspend("stuck")
    writer = threading.Thread(target=bench.write, args=(7, b"slow" * 1024))
    writer.start()
    command = [sys.executable, "-m", "drystone.cli.main", "era", "changed", "--since", "1", "db"]
    try:
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as waiting:
            try:
                until(lambda: not bench.dm.status("db", no_flush=True)[0].text.endswith("-"))
                threading.Event().wait(0.5)
                assert waiting.poll() is None
            finally:
                waiting.kill()
        assert not bench.dm.info("db").suspended
    finally:
        bench.dm.resume("stuck")
        writer.join()
    assert changed_blocks(bench, 1, "db") == [7]
    assert bench.era_json("status", "db")["held"] is None


@pytest.mark.usefixtures("db")
def test_ended_while_it_reads(bench: Bench) -> None:
    """Nobody takes what it prints; SIGTERM has it drop the snapshot before it ends."""
    bench.write(3, b"x")
    out, end = os.pipe()
    os.set_blocking(end, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(end, bytes(4096))
    os.set_blocking(end, True)
    command = [sys.executable, "-m", "drystone.cli.main", "era", "changed", "--since", "1", "db"]
    with subprocess.Popen(command, stdout=end, env={**os.environ, "PYTHONUNBUFFERED": "1"}) as reading:
        os.close(end)
        until(lambda: not bench.dm.status("db", no_flush=True)[0].text.endswith("-"))
        assert reading.poll() is None
        reading.terminate()
        assert reading.wait(120) == 128 + signal.SIGTERM
    os.close(out)
    assert bench.era_json("status", "db")["held"] is None


def until(is_so: Callable[[], bool]) -> None:
    limit = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < limit
        time.sleep(0.05)


def test_two_thin_devices(bench: Bench, tmp_path: Path) -> None:
    number = leads_to(ORIGIN)
    pool = bench.activate("pool", "thin-pool", 65536, f"{METADATA} {number} 128 0")
    bench.dm.message("pool", "create_thin 1")
    bench.activate("thin", "thin", 65536, f"{pool.number} 1")
    for block in range(10):
        bench.write(block, b"x", "/dev/mapper/thin")
    bench.dm.suspend("thin")
    bench.dm.message("pool", "create_snap 2 1")
    bench.dm.resume("thin")
    bench.dm.message("pool", "reserve_metadata_snap")  # as a crash leaves it
    for block in (3, 4, 200):
        bench.write(block, b"y", "/dev/mapper/thin")
    wanted = [f"{3 * BLOCK} {2 * BLOCK}", f"{200 * BLOCK} {BLOCK}"]
    for place in ("pool", "/dev/mapper/pool"):
        code, out, _ = bench.thin("changed", "1", "2", place)
        assert (code, out.splitlines()) == (0, wanted)
    code, out, _ = bench.thin("changed", "2", "1", "pool", "--json")
    assert json.loads(out)["ranges"] == [[3 * BLOCK, 2 * BLOCK], [200 * BLOCK, BLOCK]]
    path = tmp_path / "bits"
    assert bench.thin("changed", "2", "1", "pool", "--bitmap", str(path))[0] == 0
    assert path.read_bytes() == bytes([0b11000]) + bytes(24) + bytes([1])
    assert bench.thin("changed", "1", "9", "pool")[0] == 3
    assert bench.thin("changed", "1", "2", "thin")[0] == 2
    assert bench.thin("changed", "1", "2", METADATA)[0] == 5
    assert bench.dm.status("pool")[0].text.split()[3] == "-"
    bench.remove_all()
    code, out, _ = bench.thin("changed", "1", "2", METADATA)
    assert (code, out.splitlines()) == (0, wanted)
