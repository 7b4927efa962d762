"""Power cuts in the middle of instant restores: what was flushed is there, and the end is the whole image."""

from __future__ import annotations

import contextlib
import json
import random
import sys
import threading
import time
from collections.abc import Callable

from drystone.base.errors import DrystoneError
from drystone.lab.lab import Guest, Lab

_PREPARE = """
import os, random, subprocess
from drystone.backup.repository import BackupRequest, create_repository
from drystone.backup.tuning import Tuning
from drystone.store.folder import FolderStore
from drystone.testing.sources import MemorySource
os.makedirs("/mnt", exist_ok=True)
subprocess.run("mkfs.ext4 -q -F /dev/lab/disk0 && mount /dev/lab/disk0 /mnt", shell=True, check=True)
tuning = Tuning(chunk_size=65536, segment_slots=64, pack=1 << 20)
repository = create_repository(FolderStore("/mnt/store"), tuning=tuning)
made = repository.create(
    MemorySource(random.Random(5).randbytes(16 << 20)), BackupRequest("11111111-1111-4111-8111-111111111111", "x")
)
print(f"/mnt/store?backup={made.backup}&volume={made.volume}")
"""

_WORK = """
import os, random, subprocess, sys
from drystone.kernel.blockdev import open_device
words = [sys.executable, "-m", "drystone.cli.main", "backup", "restore", "--instant", "--name", "fresh"]
words += ["--state", "/mnt/state", "--limit-rate", "1m", sys.argv[2], "/dev/lab/disk1"]
restore = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
assert restore.stdout.readline() == "/dev/mapper/fresh\\n"
rng = random.Random(int(sys.argv[1]))
with open_device("/dev/mapper/fresh", write=True) as device:
    while True:
        block, value = rng.randrange(4096), rng.randrange(256)
        device.pwrite(block * 4096, bytes([value]) * 4096)
        device.flush()
        print("done", flush=True)
"""

_GO_ON = f"""
set -e
mkdir -p /mnt
mount /dev/lab/disk0 /mnt
{sys.executable} -m drystone.cli.main backup restore --instant --name fresh --state /mnt/state "$1" /dev/lab/disk1
test -z "$(ls /mnt/state)"
umount /mnt
"""

_READ = """
import json, random
from drystone.kernel.blockdev import open_device
base = random.Random(5).randbytes(16 << 20)
with open_device("/dev/lab/disk1") as device:
    found = device.pread(0, 16 << 20)
blocks = range(0, 16 << 20, 4096)
changed = {at // 4096: found[at : at + 4096] for at in blocks if found[at : at + 4096] != base[at : at + 4096]}
assert all(len(set(each)) == 1 for each in changed.values()), "a block is neither the backup's nor what was written"
print(json.dumps({block: each[0] for block, each in changed.items()}))
"""


def run(guest: Guest, *argv: str) -> str:
    result = guest.run(argv, timeout=200)
    assert result.status == 0, result.stderr.decode()
    return result.stdout.decode()


def work_until_killed(guest: Guest, seed: int, url: str, seconds: float) -> int:
    """Writes to a device that is being restored until the power is cut; how many were acknowledged."""
    said, errors, first = bytearray(), bytearray(), threading.Event()

    def take(data: bytes) -> None:
        said.extend(data)
        first.set()

    command = guest.start([sys.executable, "-c", _WORK, str(seed), url], stdout=take, stderr=errors.extend)
    pump = threading.Thread(target=_pump, args=(command.pump,))
    pump.start()
    assert first.wait(60), errors.decode()
    time.sleep(seconds)
    guest.kill()
    pump.join(60)
    command.close()
    return said.count(b"done\n")


def _pump(pump: Callable[[], int]) -> None:
    with contextlib.suppress(DrystoneError):  # the guest is gone, as it should be
        pump()


def test_what_was_flushed_outlives_a_power_cut_and_the_rest_is_the_backup(lab_factory: Callable[..., Lab]) -> None:
    lab = lab_factory(disks=[64 << 20, 16 << 20], modules=["dm-clone"])
    guest = lab.guests[0]
    rng = random.Random(3)
    for turn in range(2):
        url = run(guest, sys.executable, "-c", _PREPARE).strip()
        written: dict[str, int] = {}
        unsure: list[tuple[str, int]] = []
        for part in range(2):
            seed = 10 * turn + part
            count = work_until_killed(guest, seed, url, rng.uniform(0.5, 3))
            writes = random.Random(seed)
            for _ in range(count):
                block, value = writes.randrange(4096), writes.randrange(256)
                written[str(block)] = value
            unsure.append((str(writes.randrange(4096)), writes.randrange(256)))
            guest.boot()
            if part == 0:
                run(guest, "/bin/sh", "-c", "mkdir -p /mnt && mount /dev/lab/disk0 /mnt")
        assert written
        run(guest, "/bin/sh", "-c", _GO_ON, "sh", url)
        found: dict[str, int] = json.loads(run(guest, sys.executable, "-c", _READ))
        # What was being written when the power went is there or not.
        written |= {place: value for place, value in unsure if found.get(place) == value}
        assert found == written
        run(guest, "dmsetup", "remove", "fresh")
