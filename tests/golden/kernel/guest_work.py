"""What make.py has a guest do: pools and era devices whose data go nowhere, and what is then known of them.

The metadata device is a power-cut disk of the lab, /dev/lab/disk0; data devices and origins are the zero target. A
function returns when all its writes were answered, so what it returns is true of the metadata from then on.
"""

from __future__ import annotations

import base64
import contextlib
import lzma
import random
import time

from drystone.base.errors import KernelError
from drystone.kernel.blockdev import aligned_buffer, open_device
from drystone.kernel.dm.abc import TableLine
from drystone.kernel.dm.device_mapper import KernelDeviceMapper
from drystone.kernel.dm.nodes import make_node, node_path, remove_node

METADATA = "/dev/lab/disk0"
POOL_BLOCK = 128
ERA_BLOCK = 8
"""Sectors."""
DATA_BLOCKS = 1 << 20
THIN_BLOCKS = 1 << 14
_RUN = 256
"""Era blocks that one write covers at most: 1 MiB."""


def activate(dm: KernelDeviceMapper, name: str, target: str, sectors: int, params: str = "") -> str:
    dm.create(name)
    dm.load(name, [TableLine(0, sectors, target, params)])
    make_node(name, dm.resume(name).number)
    return node_path(name)


def remove_all() -> None:
    with KernelDeviceMapper() as dm:
        for _ in range(500):
            entries = dm.list_devices()
            if not entries:
                return
            for entry in entries:
                with contextlib.suppress(KernelError):
                    dm.remove(entry.number)
                    remove_node(entry.name)
            time.sleep(0.01)
    raise AssertionError("devices stay")


def write_runs(path: str, runs: list[tuple[int, int]], unit: int) -> None:
    """Direct writes: blocks [begin, begin + length) of `unit` bytes each."""
    page = aligned_buffer(max(length for _, length in runs) * min(unit, 4096))
    page[:] = 0x5A
    with open_device(path, write=True) as device:
        for begin, length in runs:
            if unit <= 4096:
                device.pwrite(begin * unit, page[: length * unit])
            else:
                for block in range(begin, begin + length):
                    device.pwrite(block * unit, page[:4096])


def image() -> str:
    """The metadata device as it is, compressed, in base64."""
    with open_device(METADATA) as device:
        return base64.b64encode(lzma.compress(device.pread(0, device.size), preset=6)).decode()


# ---------------------------------------------------------------------- thin


def start_pool() -> None:
    with open_device(METADATA, write=True) as device:
        device.zero_out(0, device.size)
        device.flush()
    with KernelDeviceMapper() as dm:
        data = activate(dm, "data", "zero", DATA_BLOCKS * POOL_BLOCK)
        params = f"{METADATA} {data} {POOL_BLOCK} 0 2 skip_block_zeroing no_discard_passdown"
        activate(dm, "pool", "thin-pool", DATA_BLOCKS * POOL_BLOCK, params)


class Thins:
    """Thin devices of the pool, and which of their blocks are mapped."""

    def __init__(self, dm: KernelDeviceMapper, seed: int) -> None:
        self.dm = dm
        self.rng = random.Random(seed)
        self.mapped: dict[int, set[int]] = {}
        self.active = -1

    def use(self, dev_id: int) -> str:
        """Have this device active, and no other."""
        if self.active != dev_id:
            self.stop()
            pool = self.dm.info("pool").number
            activate(self.dm, "thin", "thin", THIN_BLOCKS * POOL_BLOCK, f"{pool} {dev_id}")
            self.active = dev_id
        return node_path("thin")

    def stop(self) -> None:
        if self.active >= 0:
            for _ in range(500):
                with contextlib.suppress(KernelError):
                    self.dm.remove("thin")
                    break
                time.sleep(0.01)
            remove_node("thin")
            self.active = -1

    def create(self, dev_id: int) -> None:
        self.dm.message("pool", f"create_thin {dev_id}")
        self.mapped[dev_id] = set()

    def snapshot(self, dev_id: int, origin: int) -> None:
        self.stop()
        self.dm.message("pool", f"create_snap {dev_id} {origin}")
        self.mapped[dev_id] = set(self.mapped[origin])

    def delete(self, dev_id: int) -> None:
        self.stop()
        self.dm.message("pool", f"delete {dev_id}")
        del self.mapped[dev_id]

    def write(self, dev_id: int, begin: int, length: int) -> None:
        write_runs(self.use(dev_id), [(begin, length)], POOL_BLOCK * 512)
        self.mapped[dev_id] |= set(range(begin, begin + length))

    def discard(self, dev_id: int, begin: int, length: int) -> None:
        size = POOL_BLOCK * 512
        with open_device(self.use(dev_id), write=True) as device:
            device.discard(begin * size, length * size)
        self.mapped[dev_id] -= set(range(begin, begin + length))

    def truth(self) -> dict[str, list[list[int]]]:
        """Device -> ranges [begin, length] of mapped blocks."""
        return {str(dev_id): _ranges(blocks) for dev_id, blocks in sorted(self.mapped.items())}


def _ranges(blocks: set[int]) -> list[list[int]]:
    found: list[list[int]] = []
    for block in sorted(blocks):
        if found and sum(found[-1]) == block:
            found[-1][1] += 1
        else:
            found.append([block, 1])
    return found


def fill_pool(thins: Thins, families: int, generations: int) -> None:
    """Families of snapshots: an origin with holes and stretches, and its descendants, each changed a little."""
    rng = thins.rng
    for family in range(families):
        origin = family * 100 + 1
        thins.create(origin)
        thins.write(origin, rng.randrange(1000), rng.randrange(50, 400))
        for _ in range(15):
            thins.write(origin, rng.randrange(THIN_BLOCKS - 8), rng.randrange(1, 8))
        thins.discard(origin, rng.randrange(1000), 40)
        for generation in range(1, generations):
            parent = origin + rng.randrange(generation)
            thins.snapshot(origin + generation, parent)
            if generation % 3:
                for _ in range(3):
                    thins.write(origin + generation, rng.randrange(THIN_BLOCKS - 4), rng.randrange(1, 4))
    thins.create(99999)
    thins.dm.message("pool", "set_transaction_id 0 42")


def make_many(reserve: bool) -> dict[str, object]:
    """140 devices; with `reserve` a reserved metadata snapshot, and changes after it."""
    start_pool()
    with KernelDeviceMapper() as dm:
        thins = Thins(dm, 1)
        fill_pool(thins, 20 if not reserve else 6, 7)
        held = None
        if reserve:
            thins.stop()
            dm.message("pool", "reserve_metadata_snap")
            held = thins.truth()
            thins.delete(103)
            thins.snapshot(700, 1)
            thins.write(700, 3000, 200)
            thins.write(1, 9000, 30)
        thins.stop()
        truth = thins.truth()
    remove_all()
    return {"image": image(), "truth": {"live": truth, **({"held": held} if held else {})}}


def make_pool_for_cut() -> dict[str, object]:
    """A filled pool, committed; what goes on from here is cut."""
    start_pool()
    with KernelDeviceMapper() as dm:
        thins = Thins(dm, 5)
        fill_pool(thins, 5, 6)
        thins.stop()
        dm.status("pool")  # commits
        return {"truth": {"before": thins.truth()}}


def work_on_pool() -> None:
    """Snapshots, writes, flushes and deletions, until the power goes."""
    with KernelDeviceMapper() as dm:
        thins = Thins(dm, 6)
        thins.mapped = {1: set()}
        for number in range(10000, 20000):
            thins.snapshot(number, 1)
            thins.write(number, thins.rng.randrange(THIN_BLOCKS - 64), 60)
            with open_device(node_path("thin"), write=True) as device:
                device.flush()
            if number % 3 == 0:
                thins.delete(number)


# ---------------------------------------------------------------------- era


class Eras:
    """The era device, and the era of the last write to each block."""

    def __init__(self, dm: KernelDeviceMapper, blocks: int) -> None:
        self.dm = dm
        self.last = [0] * blocks
        self.rng = random.Random(blocks)

    def current(self) -> int:
        return int(self.dm.status("era")[0].text.split()[2])

    def write(self, runs: list[tuple[int, int]]) -> None:
        """Blocks [begin, begin + length), in the era that is."""
        era = self.current()
        write_runs(node_path("era"), runs, ERA_BLOCK * 512)
        for begin, length in runs:
            self.last[begin : begin + length] = [era] * length

    def scatter(self, count: int, longest: int) -> None:
        """Runs anywhere."""
        runs = [
            (self.rng.randrange(len(self.last) - longest), self.rng.randrange(1, longest + 1)) for _ in range(count)
        ]
        self.write(runs)

    def tell(self, message: str) -> None:
        self.dm.message("era", message)

    def truth(self) -> dict[str, object]:
        """The era as it is, and [begin, length, era] of blocks that were written."""
        runs: list[list[int]] = []
        for block, era in enumerate(self.last):
            if era and runs and runs[-1][2] == era and runs[-1][0] + runs[-1][1] == block:
                runs[-1][1] += 1
            elif era:
                runs.append([block, 1, era])
        return {"blocks": len(self.last), "runs": runs}


def start_era(dm: KernelDeviceMapper, blocks: int, *, fresh: bool = True) -> Eras:
    if fresh:
        with open_device(METADATA, write=True) as device:
            device.zero_out(0, device.size)
            device.flush()
        activate(dm, "origin", "zero", blocks * ERA_BLOCK)
    activate(dm, "era", "era", blocks * ERA_BLOCK, f"{METADATA} {node_path('origin')} {ERA_BLOCK}")
    return Eras(dm, blocks)


def make_idle() -> dict[str, object]:
    """Some eras, then removed: the last writeset is archived and not digested."""
    with KernelDeviceMapper() as dm:
        eras = start_era(dm, 5000)
        for _ in range(6):
            eras.scatter(20, 30)
            eras.tell("checkpoint")
        eras.scatter(20, 30)
        truth = eras.truth()
    remove_all()
    return {"image": image(), "truth": {"live": truth}}


def make_held() -> dict[str, object]:
    """A metadata snapshot that is held, eras after it, then removed."""
    with KernelDeviceMapper() as dm:
        eras = start_era(dm, 40000)
        for _ in range(4):
            eras.scatter(40, 50)
            eras.tell("checkpoint")
        eras.scatter(40, 50)
        held = eras.truth()
        eras.tell("take_metadata_snap")
        for _ in range(3):
            eras.scatter(40, 50)
            eras.tell("checkpoint")
        eras.scatter(10, 50)
        truth = eras.truth()
    remove_all()
    return {"image": image(), "truth": {"live": truth, "held": held}}


def make_resized() -> dict[str, object]:
    """An origin that has grown, and then shrunk to less than it was at first; writes in each of its sizes."""
    with KernelDeviceMapper() as dm:
        eras = start_era(dm, 3000)
        eras.scatter(20, 20)
        eras.tell("checkpoint")
        for blocks in (9000, 2100):
            dm.remove("era")
            remove_node("era")
            dm.remove("origin")
            activate(dm, "origin", "zero", blocks * ERA_BLOCK)
            eras.last = [*eras.last, *[0] * blocks][:blocks]
            activate(dm, "era", "era", blocks * ERA_BLOCK, f"{METADATA} {node_path('origin')} {ERA_BLOCK}")
            eras.scatter(20, 20)
            eras.tell("checkpoint")
        eras.scatter(5, 20)
        truth = eras.truth()
    remove_all()
    return {"image": image(), "truth": {"live": truth}}


def make_era_for_cut(many: bool) -> dict[str, object]:
    """Eras, and at the end a current one with writes in it. With `many` so many bits that digesting takes a while."""
    with KernelDeviceMapper() as dm:
        eras = start_era(dm, 200_000 if many else 5000)
        if many:
            eras.write([(at, _RUN) for at in range(77, 199_000, 2 * _RUN)])
        for _ in range(3):
            eras.tell("checkpoint")
            eras.scatter(3 if many else 30, 20)
        return {"truth": {"live": eras.truth()}}
