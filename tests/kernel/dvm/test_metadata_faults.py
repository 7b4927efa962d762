"""A group's metadata on the real kernel, where its devices lose power or fail in the middle of an update.

Every point is tried: after each write and flush that dm-log-writes has seen, and at each call of an update from which
a device drops writes, fails, or has bad blocks (dm-flakey, dm-dust). Power cuts: see test_metadata_power_cut.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from drystone.kernel import loop
from drystone.kernel.blockdev import open_device
from drystone.kernel.dm.abc import TableLine
from drystone.kernel.dm.device_mapper import KernelDeviceMapper
from drystone.kernel.dm.nodes import make_node, remove_node

from .metadata_group import Call, MetadataGroup
from .write_log import FLUSH, Step, crash_states, merge, parse_log, replay

pytestmark = pytest.mark.lab(memory="512M", modules=["dm-log-writes", "dm-flakey", "dm-dust"])

DEVICES = 3
SIZE = 1 << 20
LOG_SIZE = 8 << 20
SECTORS = SIZE // 512
OLD, NEW, LATER = 1, 2, 3


class Bench:
    """Three loop devices with a group on them, at number OLD, and three more to replay on."""

    def __init__(self, dm: KernelDeviceMapper, folder: Path) -> None:
        self.dm = dm
        files = [self._make(folder / f"disk{each}", SIZE) for each in range(DEVICES)]
        group = MetadataGroup(files)
        group.create(0, files=True)
        assert group.update(OLD).code == 0
        self.images = tuple(Path(each).read_bytes() for each in files)
        self.disks = [loop.attach(each) for each in files]
        self.fresh = [loop.attach(self._make(folder / f"fresh{each}", SIZE)) for each in range(DEVICES)]
        self.logs = [loop.attach(self._make(folder / f"log{each}", LOG_SIZE)) for each in range(DEVICES)]
        self.mapped: list[str] = []

    def _make(self, path: Path, size: int) -> str:
        with path.open("wb") as file:
            file.truncate(size)
        return str(path)

    def activate(self, name: str, target: str, params: str) -> str:
        """A device, over the whole of another; its path."""
        self.dm.create(name)
        self.dm.load(name, [TableLine(0, SECTORS, target, params)])
        self.mapped.append(name)
        return make_node(name, self.dm.resume(name).number)

    def reload(self, name: str, target: str, params: str) -> None:
        self.dm.load(name, [TableLine(0, SECTORS, target, params)])
        self.dm.suspend(name)
        self.dm.resume(name)

    def remove(self, name: str) -> None:
        remove_node(name)
        self.dm.remove(name)
        self.mapped.remove(name)

    def close(self) -> None:
        for name in reversed(self.mapped):
            remove_node(name)
            self.dm.remove(name)
        for each in (*self.disks, *self.fresh, *self.logs):
            loop.detach(each.path)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with KernelDeviceMapper() as dm:
        made = Bench(dm, tmp_path)
        yield made
        made.close()


def read_all(path: str) -> bytes:
    with open_device(path) as device:
        return device.pread(0, device.size)


def write_all(disks: list[loop.Loop], images: tuple[bytes, ...]) -> None:
    for disk, image in zip(disks, images, strict=True):
        with open_device(disk.path, write=True) as device:
            device.pwrite(0, image)
            device.flush()


def record(bench: Bench) -> list[Step]:
    """What an update to NEW makes the kernel do, on all devices."""
    names = [f"logged{each}" for each in range(DEVICES)]
    group = MetadataGroup(
        [
            bench.activate(name, "log-writes", f"{disk.number} {log.number}")
            for name, disk, log in zip(names, bench.disks, bench.logs, strict=True)
        ]
    )
    calls: list[Call] = []
    assert group.update_watched(NEW, calls.append) is None
    for name in names:
        bench.remove(name)
    return merge(calls, [parse_log(read_all(each.path)) for each in bench.logs])


def test_every_prefix_of_an_update_is_the_old_or_the_new_metadata(bench: Bench) -> None:
    steps = record(bench)
    assert replay(bench.images, steps) == tuple(read_all(each.path) for each in bench.disks)
    flushes = [step for step in steps if step.entry.flags & FLUSH]
    assert len(flushes) == 5 * DEVICES
    assert len(steps) - len(flushes) >= 3 * DEVICES
    group = MetadataGroup([each.path for each in bench.fresh])
    known: dict[tuple[bytes, ...], int] = {}
    found: list[set[int]] = []
    for cut in range(len(steps) + 1):
        found.append(set())
        for images in crash_states(bench.images, steps[:cut]):
            if images not in known:
                write_all(bench.fresh, images)
                known[images] = judge(group)
            found[-1].add(known[images])
    # Old before, new after, and no way back.
    numbers = [each for at in found for each in sorted(at)]
    assert numbers == sorted(numbers)
    assert (found[0], found[-1]) == ({OLD}, {NEW})
    assert len(list(crash_states(bench.images, steps))) == 1, "what was said to be done may be lost"
    write_all(bench.fresh, replay(bench.images, steps))
    assert group.transact("verify").code == 0
    assert group.read() == NEW


def judge(group: MetadataGroup) -> int:
    """The number that is read after a crash, whoever looks and recovers."""
    complete = group.transact("verify").code == 0
    before = group.read()
    assert (before is not None) == complete
    assert group.transact("recover").code == 0
    assert group.transact("verify").code == 0
    after = group.read()
    assert after in {OLD, NEW}
    assert before in {None, after}
    assert group.update(LATER).code == 0
    assert group.read() == LATER
    return after


class Failing:
    """A group whose device `at` can be made to fail."""

    def __init__(self, bench: Bench, fault: str, at: int) -> None:
        self.bench = bench
        self.fault = fault
        self.disk = bench.disks[at]
        paths = [each.path for each in bench.disks]
        paths[at] = bench.activate("failing", "linear", f"{self.disk.number} 0")
        self.group = MetadataGroup(paths)
        self.failing = paths[at]

    def fail(self) -> None:
        if self.fault == "bad blocks":
            self.bench.reload("failing", "dust", f"{self.disk.number} 0 4096")
            for block in range(1, 129):
                self.bench.dm.message("failing", f"addbadblock {block}")
            self.bench.dm.message("failing", "enable")
            return
        features = {"drop_writes": "1 drop_writes", "error_writes": "1 error_writes", "errors": "0"}[self.fault]
        self.bench.reload("failing", "flakey", f"{self.disk.number} 0 0 60 {features}")

    def heal(self) -> None:
        self.bench.reload("failing", "linear", f"{self.disk.number} 0")

    def update(self, at: int, from_call: int) -> bool | None:
        """Whether an update to NEW succeeded while the device fails from its `from_call`-th call on.

        None: it had ended by then.
        """
        calls = 0

        def count(call: Call) -> None:
            nonlocal calls
            if call.device == at:
                calls += 1
                if calls == from_call:
                    self.fail()

        error = self.group.update_watched(NEW, count)
        if error is not None:
            assert error.message
            assert error.hint
            assert "verify" in error.hint or "recover" in error.hint, error.hint
        return None if calls < from_call else error is None


@pytest.mark.parametrize("at", [0, DEVICES - 1])
@pytest.mark.parametrize("fault", ["drop_writes", "error_writes", "errors", "bad blocks"])
def test_an_update_over_a_failing_device_loses_nothing(bench: Bench, fault: str, at: int) -> None:
    failing = Failing(bench, fault, at)
    ends: list[bool] = []
    found: set[int | None] = set()
    while True:
        write_all(bench.disks, bench.images)
        success = failing.update(at, len(ends) + 1)
        if success is None:
            break
        ends.append(success)
        left = tuple(read_all(each.path) for each in bench.disks)
        allowed = {NEW} if success else {OLD, NEW}
        for mend in (mend_without_it, mend_with_it):
            write_all(bench.disks, left)
            number = mend(failing)
            assert number in allowed
            found.add(number)
    assert len(ends) > 8
    assert False in ends
    assert found == {OLD, NEW}


def mend_without_it(failing: Failing) -> int | None:
    """Recover without the device as it still fails, and take it in later; the number that is read."""
    group = failing.group
    assert group.transact("recover", "--without", failing.failing).code == 0
    others = MetadataGroup([path for path in group.paths if path != failing.failing])
    assert others.transact("verify").code == 0
    number = others.read()
    failing.heal()
    assert group.read() == number, "what comes back changes nothing"
    assert group.transact("expand", "--overwrite").code == 0
    assert group.transact("verify").code == 0
    assert group.read() == number
    return number


def mend_with_it(failing: Failing) -> int | None:
    """Recover once the device is well again; the number that is read."""
    failing.heal()
    assert failing.group.transact("recover").code == 0
    assert failing.group.transact("verify").code == 0
    return failing.group.read()
