"""Thin pools' transactions on the real kernel: programs that come too late, and a metadata device that fails."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from pathlib import Path

import pytest

from drystone.dvm.dmactivate import activate
from drystone.dvm.dmexec import execute
from drystone.dvm.state import Device, Line, State, Transaction, observe
from drystone.kernel import loop
from drystone.kernel.blockdev import open_device
from drystone.kernel.dm.abc import TableLine
from drystone.kernel.dm.device_mapper import KernelDeviceMapper
from drystone.kernel.dm.nodes import make_node, remove_node

pytestmark = pytest.mark.lab(memory="512M")

META = 32768
DATA = 131072
"""Sectors."""


class Pool:
    """A thin pool on two linear devices on one loop device."""

    def __init__(self, dm: KernelDeviceMapper, disk: str) -> None:
        self.dm = dm
        self.below = (
            Device("meta", "M", (Line(0, META, "linear", f"{disk} 0"),)),
            Device("data", "D", (Line(0, DATA, "linear", f"{disk} {META}"),)),
        )

    def wanted(self, transaction_id: int, *messages: str, thins: tuple[Device, ...] = ()) -> State:
        line = Line(0, DATA, "thin-pool", "{meta} {data} 128 0")
        pool = Device("pool", "P", (line,), transaction=Transaction(transaction_id, messages))
        return State((*self.below, pool, *thins))

    def go(self, transaction_id: int, *messages: str, thins: tuple[Device, ...] = ()) -> None:
        state = self.wanted(transaction_id, *messages, thins=thins)
        result = execute(activate(observe(self.dm), state), self.dm)
        assert result.outcome == "done", result


@pytest.fixture
def pool(tmp_path: Path) -> Iterator[Pool]:
    file = tmp_path / "disk"
    file.touch()
    with file.open("r+b") as handle:
        handle.truncate((META + DATA) * 512)
    disk = loop.attach(str(file))
    with KernelDeviceMapper() as dm:
        made = Pool(dm, str(disk.number))
        made.go(0)
        yield made
        for entry in reversed(dm.list_devices()):
            dm.remove(entry.number)
    loop.detach(disk.path)


def test_a_program_that_is_run_again_deletes_no_device_that_was_acknowledged(pool: Pool) -> None:
    program = activate(observe(pool.dm), pool.wanted(1, "create_thin 1"))
    assert execute(program, pool.dm).outcome == "done"
    vol = Device("vol", "V", (Line(0, 2048, "thin", "{pool} 1"),))
    pool.go(1, thins=(vol,))
    node = make_node("vol", pool.dm.info("vol").number)
    with open_device(node, write=True) as device:
        device.pwrite(0, b"data" * 1024)
        device.flush()
    remove_node("vol")
    pool.go(1)

    again = execute(program, pool.dm)

    assert again.outcome == "unwound"
    assert again.error is not None
    assert again.error.code == "mismatch"
    pool.go(1, thins=(vol,))
    node = make_node("vol", pool.dm.info("vol").number)
    with open_device(node) as device:
        assert device.pread(0, 4096) == b"data" * 1024
    remove_node("vol")


def test_a_transaction_that_is_not_on_disk_is_no_success(pool: Pool) -> None:
    program = activate(observe(pool.dm), pool.wanted(1))
    meta = pool.dm.info("meta").number
    pool.dm.suspend(meta)
    pool.dm.load(meta, [TableLine(0, META, "error", "")])
    pool.dm.resume(meta)

    result = execute(program, pool.dm)

    assert result.outcome == "failed"
    assert result.error is not None
    assert result.error.errno == errno.EOPNOTSUPP
    assert "READ_ONLY or FAIL" in result.error.hint
    # The kernel called the message itself a success.
    assert [step.errno for step in result.trace[:2]] == [0, errno.EOPNOTSUPP]
