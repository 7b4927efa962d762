"""A leg on a real kernel: a device-mapper device over a loop device, offered by LIO, attached by iSCSI; and writers
that know to the byte what was acknowledged.
"""

from __future__ import annotations

import os
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import numpy as np

from drystone.base.sizes import SECTOR
from drystone.kernel import loop
from drystone.kernel.blockdev import aligned_buffer
from drystone.kernel.dm.abc import DeviceMapper, TableLine
from drystone.kernel.dm.device_mapper import KernelDeviceMapper
from drystone.kernel.dm.nodes import make_node, remove_node
from drystone.kernel.dm.number import DeviceNumber
from drystone.kernel.iscsi.abc import Disk, Timeouts, await_disk
from drystone.kernel.iscsi.initiator import NAME_FILE, OpenIscsi
from drystone.kernel.iscsi.names import Chap, Portal
from drystone.kernel.lio.abc import Lio
from drystone.kernel.lio.configfs import ConfigfsLio
from drystone.kernel.sysfs import SYSFS

SIZE = 16 << 20
"""Bytes of a leg."""
BLOCK = 4096
SERIAL = "5f0c7d9e-8a61-4a55-9d5c-2f6f0e7c1b11"
IQN, HOST = "iqn.2026-11.org.example:leg", "iqn.2026-11.org.example:ihost"
CHAP = Chap("leg-user", "leg-secret-leg-secret")
TIMEOUTS = Timeouts(replacement=2, login=5)
NAME = "leg"
"""Of the device-mapper device, and of the backstore."""
_WRITES = 4
"""The place of completed writes in a device's `stat`."""


@dataclass(frozen=True, slots=True)
class Leg:
    """A leg that is offered to HOST. `path`: the device below LIO; `below`: the loop device below that."""

    lio: Lio
    dm: DeviceMapper
    path: str
    below: str
    portal: Portal

    def grant(self) -> None:
        """Let HOST in."""
        self.lio.grant(IQN, HOST, CHAP, [0])

    def revoke(self, timeout: float = 30.0) -> None:
        """Fence HOST."""
        self.lio.revoke(IQN, HOST, timeout=timeout)

    def count_writes(self) -> int:
        """How many writes the device below LIO has completed."""
        return count_writes(self.dm.info(NAME).number)


def count_writes(number: DeviceNumber) -> int:
    """How many writes a device-mapper device has completed since it was made, whoever asked for them.

    The kernel counts one before it says that it is done. Source: Linux `Documentation/admin-guide/iostats.rst`,
    `drivers/md/dm.c` (__dm_io_complete).
    """
    return int(Path(SYSFS, "dev", "block", str(number), "stat").read_text().split()[_WRITES])


@contextmanager
def offered(file: Path, portal: Portal) -> Iterator[Leg]:
    """A leg on a file or disk; a file is made where it is missing. Everything is taken down again."""
    if not file.exists():
        file.write_bytes(bytes(SIZE))
    with loop.hold(str(file)) as below, KernelDeviceMapper() as dm:
        dm.create(NAME)
        dm.load(NAME, [TableLine(0, SIZE // SECTOR, "linear", f"{below.number} 0")])
        leg = Leg(ConfigfsLio(), dm, make_node(NAME, dm.resume(NAME).number), below.path, portal)
        try:
            leg.lio.create_backstore(NAME, leg.path, SERIAL)
            leg.lio.create_target(IQN)
            leg.lio.add_lun(IQN, 0, NAME)
            leg.grant()
            leg.lio.add_portal(IQN, portal)
            leg.lio.enable_target(IQN)
            yield leg
        finally:
            if dm.info(NAME).suspended:
                dm.resume(NAME)
            leg.revoke()
            leg.lio.remove_lun(IQN, 0)
            leg.lio.remove_target(IQN)
            leg.lio.remove_backstore(NAME)
            dm.remove(NAME)
            remove_node(NAME)


def name_this_host(name: str = HOST) -> None:
    """Give it its initiator's name, before iscsid runs."""
    Path(NAME_FILE).write_text(f"InitiatorName={name}\n")


def attach(portal: Portal, timeouts: Timeouts = TIMEOUTS) -> Disk:
    """Log in to a leg, and wait for its disk."""
    initiator = OpenIscsi()
    initiator.login(IQN, portal, chap=CHAP, timeouts=timeouts)
    return await_disk(initiator, IQN, portal, 0)


def begin_login(portal: Portal) -> socket.socket:
    """The connection of a login as HOST that has said who it is, has been asked to prove it, and says no more.

    Source: RFC 7143, sections 11.12 (the request) and 6.2 (its text).
    """
    keys = {"InitiatorName": HOST, "TargetName": IQN, "SessionType": "Normal", "AuthMethod": "CHAP"}
    text = b"".join(f"{key}={value}".encode() + b"\0" for key, value in keys.items())
    operation, to_operational, isid = 0x43, 0x01, bytes.fromhex("00023d000009")
    header = struct.pack(">BBHI6sHIHHII16x", operation, to_operational, 0, len(text), isid, 0, 1, 0, 0, 1, 0)
    connection = socket.create_connection((portal.address, portal.port))
    connection.sendall(header + text + bytes(-len(text) % 4))
    assert b"AuthMethod=CHAP" in connection.recv(4096)
    return connection


@dataclass
class Writers:
    """Threads that write numbered blocks past the cache, each to a part of its own, until a write fails or `stop`.

    `with Writers(path) as writers:` starts them, and waits for their end.

    :ivar acknowledged: of each block of the disk, the number that was written last and acknowledged.
    :ivar last: when the last write that was acknowledged had begun, by time.monotonic: when its acknowledgement came
        is known too late, by what else runs. :ivar errors: how each thread ended.
    """

    path: str
    count: int = 4
    acknowledged: dict[int, int] = field(default_factory=dict)
    last: float = 0.0
    errors: list[str] = field(default_factory=list)
    _threads: list[threading.Thread] = field(default_factory=list)
    _done: list[int] = field(default_factory=list)
    _stopped: bool = False

    def __enter__(self) -> Self:
        self._done = [0] * self.count
        for at in range(self.count):
            self._threads.append(threading.Thread(target=self._write, args=(at,), daemon=True))
            self._threads[-1].start()
        return self

    def __exit__(self, *_: object) -> None:
        for thread in self._threads:
            thread.join(60)
        assert not any(each.is_alive() for each in self._threads), "a write neither ended nor failed in a minute"

    def wait_for(self, writes: int) -> None:
        """Until so many more writes have been acknowledged."""
        end, before = time.monotonic() + 30, self.count_acknowledged()
        while self.count_acknowledged() < before + writes:
            assert time.monotonic() < end, f"not {writes} writes in 30 s"
            time.sleep(0.01)

    def count_acknowledged(self) -> int:
        """How many writes have been acknowledged."""
        return sum(self._done)

    def stop(self) -> None:
        """Write no more."""
        self._stopped = True

    def _write(self, at: int) -> None:
        part = SIZE // BLOCK // self.count
        buffer = aligned_buffer(BLOCK)
        handle = os.open(self.path, os.O_WRONLY | os.O_DIRECT | os.O_DSYNC | os.O_CLOEXEC)
        try:
            number = 0
            while not self._stopped:
                number += 1
                block = at * part + number % part
                buffer.view(np.uint64)[:] = number
                begun = time.monotonic()
                os.pwrite(handle, buffer.data, block * BLOCK)
                self.acknowledged[block] = self._done[at] = number
                self.last = max(self.last, begun)
        except OSError as error:
            self.errors.append(os.strerror(error.errno or 0))
        finally:
            os.close(handle)


def read_numbers(path: str) -> list[int]:
    """The number in each block of a device, read past the cache."""
    buffer = aligned_buffer(SIZE)
    handle = os.open(path, os.O_RDONLY | os.O_DIRECT | os.O_CLOEXEC)
    try:
        done = 0
        while done < SIZE:
            done += os.preadv(handle, [buffer.data[done:]], done)
    finally:
        os.close(handle)
    return [int(each) for each in buffer.view(np.uint64)[:: BLOCK // 8]]
