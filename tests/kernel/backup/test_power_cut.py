"""Power cuts while backups are made and deleted: what was acknowledged is there, and whole."""

from __future__ import annotations

import json
import random
import sys
import threading
import time
from collections.abc import Callable

from drystone.lab.lab import Guest, Lab

_PREPARE = """
set -e
mkdir -p /mnt
mkfs.ext4 -q -F /dev/lab/disk0
mount /dev/lab/disk0 /mnt
"""

_WORK = """
import json, os, sys
from drystone.backup.repository import BackupRequest, create_repository
from drystone.backup.tuning import Tuning
from drystone.store.folder import FolderStore
from drystone.testing.sources import MemorySource
from blake3 import blake3
repository = create_repository(
    FolderStore("/mnt/new/store"), tuning=Tuning(chunk_size=65536, segment_slots=8, pack=200_000)
)
volume, chain, seed = sys.argv[1], [], int(sys.argv[2])
image = bytearray(blake3(b"image %d" % seed).digest(20 * 65536))
for turn in range(1000):
    at = turn % 18 * 65536
    image[at : at + 65536] = blake3(b"%d" % (turn + seed)).digest(65536)
    base = chain[-1] if chain else ""
    made = repository.create(
        MemorySource(image, [(at, 65536)] if base else None), BackupRequest(volume, "cut", base)
    )
    chain.append(made.backup)
    print(json.dumps({"made": made.backup, "sum": blake3(image).hexdigest()}), flush=True)
    if len(chain) > 6:
        repository.delete(volume, chain.pop(0))
"""

_CHECK = """
import json, sys
from pathlib import Path
from drystone.backup.repository import open_repository
from drystone.base.errors import NotFoundError
from drystone.store.folder import FolderStore
from drystone.testing.repositories import sweep
from blake3 import blake3
try:
    repository = open_repository(FolderStore("/mnt/new/store"))
except NotFoundError:
    print(json.dumps({}))
    sys.exit()
sweep(repository, force=True)
found = {}
for each in repository.list():
    repository.verify(each.volume, each.backup)
    repository.restore(each.volume, each.backup, "/mnt/out")
    found[each.backup] = blake3(Path("/mnt/out").read_bytes()).hexdigest()
    Path("/mnt/out").unlink()
left = [str(path) for path in Path("/mnt").rglob(".passing.*")]
assert not left, left
print(json.dumps(found))
"""


def run(guest: Guest, *argv: str) -> str:
    result = guest.run(argv, timeout=120)
    assert result.status == 0, result.stderr.decode()
    return result.stdout.decode()


def work_until_killed(guest: Guest, seed: int, seconds: float) -> list[dict[str, str]]:
    """Backups and deletions until the power is cut, so long after the first one; what was said of them."""
    said = bytearray()
    first = threading.Event()

    def take(data: bytes) -> None:
        said.extend(data)
        first.set()

    volume = f"{seed:08x}-1111-4111-8111-111111111111"
    argv = [sys.executable, "-c", _WORK, volume, str(seed)]
    errors = bytearray()
    command = guest.start(argv, stdout=take, stderr=errors.extend)
    pump = threading.Thread(target=_pump, args=(command.pump,))
    pump.start()
    assert first.wait(60), errors.decode()
    time.sleep(seconds)
    guest.kill()
    pump.join(60)
    command.close()
    return [json.loads(line) for line in said.decode().splitlines(keepends=True) if line.endswith("\n")]


def _pump(pump: Callable[[], int]) -> None:
    from drystone.base.errors import DrystoneError

    try:
        pump()
    except DrystoneError:  # the guest is gone, as it should be
        return


def test_nothing_acknowledged_is_lost(lab_factory: Callable[..., Lab]) -> None:
    lab = lab_factory(disks=[256 << 20])
    guest = lab.guests[0]
    run(guest, "/bin/sh", "-c", _PREPARE)
    rng = random.Random(4)
    sums: dict[str, str] = {}
    sure: set[str] = set()
    for turn in range(5):
        said = work_until_killed(guest, turn, rng.uniform(0.0, 1.5))
        assert said, "a backup was acknowledged before the cut"
        sums |= {line["made"]: line["sum"] for line in said}
        # The work deletes all but its last six. What it said last may not have come through before the cut, so of
        # those that we heard of, half as many are surely there.
        sure |= {line["made"] for line in said[-3:]}
        guest.boot()
        run(guest, "/bin/sh", "-c", "mkdir -p /mnt && mount /dev/lab/disk0 /mnt")
        found = json.loads(run(guest, sys.executable, "-c", _CHECK))
        assert sure <= set(found), f"cut {turn}: {len(sure - set(found))} acknowledged backups are gone"
        wrong = [backup for backup in found if backup in sums and found[backup] != sums[backup]]
        assert not wrong
        sure = set(found)
