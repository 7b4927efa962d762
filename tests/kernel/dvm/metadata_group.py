"""A group of devices with metadata, as the fault tests drive it: the commands of `dvm`, run within this process.

A module without pytest, which takes seconds to load in a guest.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import click
from msgspec.structs import replace

from drystone.base.errors import DrystoneError
from drystone.cli.dvm.discover import discover
from drystone.cli.dvm.transact import transact
from drystone.cli.exits import run
from drystone.dvm.discovery.finding import find
from drystone.dvm.discovery.scan import Place
from drystone.dvm.replication.regions import RegionDevice
from drystone.dvm.transactions.opening import opened
from drystone.dvm.transactions.transact import update

GROUP = "vg"
REGION = "1:129"
"""Pages: 512 KiB."""
NEXT = "/tmp/next-metadata"
"""What the mutator prints."""

Kind = Literal["read", "write", "flush"]


@dataclass(frozen=True)
class Call:
    """What an update asked of a device: its number, what for, and the bytes of a write."""

    device: int
    kind: Kind
    size: int = 0


@dataclass(frozen=True)
class Answer:
    """How a command ended."""

    code: int
    out: bytes
    error: str


def call(command: click.Command, *words: str) -> Answer:
    """Run a command."""
    out, err = io.BytesIO(), io.StringIO()
    with contextlib.redirect_stdout(io.TextIOWrapper(out, write_through=True)), contextlib.redirect_stderr(err):
        code = run(command, words)
        return Answer(code, out.getvalue(), err.getvalue())


def metadata(number: int, size: int = 20_000) -> bytes:
    """Metadata that differ from those of another number in most pages."""
    return json.dumps({"number": number, "filler": [number * 1000 + each for each in range(size // 8)]}).encode()


def number_of(data: bytes) -> int:
    """The number that `metadata` was made with; all the rest must be as it made it."""
    number: int = json.loads(data)["number"]
    assert json.loads(data) == json.loads(metadata(number))
    return number


class MetadataGroup:
    """The group on the devices at `paths`. The constructor has no effects."""

    def __init__(self, paths: Sequence[str]) -> None:
        self.paths = tuple(paths)

    def create(self, first: int, *, files: bool) -> None:
        """Label the devices and give them their first metadata. :param files: they are plain files."""
        told = [word for path in self.paths for word in ("--file", path)] if files else []
        assert call(discover, "add", *told, GROUP, *self.paths, REGION).code == 0
        assert self.transact("expand").code == 0
        assert self.update(first).code == 0

    def transact(self, verb: str, *words: str) -> Answer:
        """`dvm transact VERB` on all devices."""
        devices = [word for path in self.paths for word in ("--device", path)]
        return call(transact, verb, "--json", *devices, GROUP, *words)

    def update(self, number: int, told: str = "/dev/null") -> Answer:
        """`dvm transact update`, to metadata of that number; the mutator tells in the file `told` that it has begun."""
        Path(NEXT).write_bytes(metadata(number))
        return self.transact("update", "--", "sh", "-c", f"echo begun {number} >> {told}; cat {NEXT}")

    def read(self) -> int | None:
        """The number of the metadata that is read; None when that is refused."""
        answer = self.transact("read")
        return number_of(answer.out) if answer.code == 0 else None

    def update_watched(self, number: int, before: Callable[[Call], None]) -> DrystoneError | None:
        """As `update`; `before` is told of each call to a device. What went wrong."""
        document = find(Place(self.paths, has_devices=False), GROUP)
        with opened(document, write=True) as found:
            standings = tuple(
                replace(each, opened=WatchedRegion(each.opened, self.paths.index(each.seat.region.path), before))
                for each in found.standings
            )
            try:
                update(
                    replace(found, standings=standings),
                    lambda _: metadata(number),
                    ("update", str(number)),
                    datetime.now(UTC),
                )
            except DrystoneError as error:
                return error
        return None


class WatchedRegion:
    """A region whose calls are told before they are made."""

    def __init__(self, inner: RegionDevice, device: int, before: Callable[[Call], None]) -> None:
        self._inner = inner
        self._device = device
        self._before = before

    @property
    def name(self) -> str:
        return self._inner.name

    @property
    def pages(self) -> int:
        return self._inner.pages

    @property
    def is_cached(self) -> bool:
        return self._inner.is_cached

    def read(self, page: int, count: int) -> bytes:
        self._before(Call(self._device, "read"))
        return self._inner.read(page, count)

    def write(self, page: int, data: bytes) -> None:
        self._before(Call(self._device, "write", len(data)))
        self._inner.write(page, data)

    def flush(self) -> None:
        self._before(Call(self._device, "flush"))
        self._inner.flush()


# What the power-cut test calls in its guests.


def create_on_disks(paths: Sequence[str]) -> None:
    """Make the group on the lab's disks, number 0."""
    MetadataGroup(paths).create(0, files=False)


def look(paths: Sequence[str]) -> dict[str, Any]:
    """What there is after a power cut, and after a recovery."""
    group = MetadataGroup(paths)
    found = {"complete": group.transact("verify").code == 0, "before": group.read()}
    found["recovered"] = group.transact("recover").code
    return {**found, "whole": group.transact("verify").code, "after": group.read()}


def work(paths: Sequence[str], begin: int, told: str) -> None:
    """Update until the power goes; in a file of the host's, each number is told when it begins and when it is done."""
    group = MetadataGroup(paths)
    for number in range(begin, begin + 10_000):
        assert group.update(number, told).code == 0
        handle = os.open(told, os.O_WRONLY | os.O_APPEND)
        os.write(handle, f"done {number}\n".encode())
        os.close(handle)
