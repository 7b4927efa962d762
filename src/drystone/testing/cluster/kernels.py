"""Kernels of the cluster's hosts, simulated, whose every change is a step that the agent may be killed at.

A crash is a `Crash` that is raised at a step of a kernel, of the slices or of the wipe. What the simulated kernels were
at that moment is what is left: what is undone while the exception passes is put back, as if it were a SIGKILL.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from msgspec import structs

from drystone.cluster.agents.slices import Slice, Slices
from drystone.kernel.dm.abc import DeviceEntry, DeviceInfo, Ref, TableLine, TargetStatus
from drystone.kernel.dm.legs import Mirror
from drystone.kernel.dm.log import LoggedCall, LoggedDeviceMapper
from drystone.kernel.dm.number import DeviceNumber
from drystone.kernel.dm.simulated import SimulatedDeviceMapper
from drystone.kernel.dm.simulated.machine import Machine
from drystone.kernel.dm.statuses import MirrorStatus
from drystone.kernel.lio.tree import Place, Tree

CHANGES = {"create", "remove", "rename", "suspend", "resume", "load", "clear", "message"}
_ASKING = ("@stats_list", "@stats_print")
"""How messages begin that change nothing."""


class Crash(BaseException):
    """The agent is killed here."""


@dataclass
class Steps:
    """Counts the steps that a crash may come at. :ivar crash_at: the one, 0 for none. :ivar freeze: keeps all."""

    freeze: Callable[[], None]
    crash_at: int = 0
    count: int = 0

    def step(self) -> None:
        self.count += 1
        if self.count == self.crash_at:
            self.freeze()
            raise Crash


class SteppedTree:
    """A Tree whose changes are steps."""

    def __init__(self, inner: Tree, steps: Steps) -> None:
        self._inner = inner
        self._steps = steps
        self.prepare, self.exists, self.folders = inner.prepare, inner.exists, inner.folders
        self.links, self.read = inner.links, inner.read

    def write(self, place: Place, text: str) -> None:
        self._steps.step()
        self._inner.write(place, text)

    def make(self, place: Place) -> bool:
        self._steps.step()
        return self._inner.make(place)

    def remove(self, place: Place) -> bool:
        self._steps.step()
        return self._inner.remove(place)

    def remove_within(self, place: Place, inner: str, seconds: float) -> bool:
        self._steps.step()
        return self._inner.remove_within(place, inner, seconds)

    def link(self, place: Place, target: Place) -> None:
        self._steps.step()
        self._inner.link(place, target)

    def unlink(self, place: Place) -> None:
        self._steps.step()
        self._inner.unlink(place)


class SteppedSlices(Slices):
    """Slices whose changes are steps, before and after. `before_have`: a disk may hang there."""

    def __init__(self, disk: str, steps: Steps) -> None:
        super().__init__(disk)
        self._steps = steps
        self.before_have: Callable[[], None] = lambda: None

    def have(self, dlv: str, sizes: Mapping[str, int], new: Collection[str]) -> dict[str, Slice]:
        self.before_have()
        self._steps.step()
        found = super().have(dlv, sizes, new)
        self._steps.step()
        return found

    def mark_ready(self, legs: Collection[str]) -> None:
        self._steps.step()
        super().mark_ready(legs)
        self._steps.step()

    def remove(self, dlv: str, legs: Collection[str]) -> None:
        self._steps.step()
        super().remove(dlv, legs)
        self._steps.step()


def stepped(dm: SimulatedDeviceMapper, steps: Steps, calls: list[LoggedCall]) -> LoggedDeviceMapper:
    """A device-mapper whose changes are steps, each after it was made; `calls` notes them all."""

    def note(call: LoggedCall) -> None:
        calls.append(call)
        if call.operation in CHANGES and not str(call.arguments.get("text", "")).startswith(_ASKING):
            steps.step()

    return LoggedDeviceMapper(dm, note)


class FakeLogs:
    """LogDevices as disks of a simulated device-mapper. `contents`: what each began as. Changes are steps."""

    def __init__(self, dm: SimulatedDeviceMapper, steps: Steps) -> None:
        self.contents: dict[str, bytes] = {}
        self.numbers: dict[str, DeviceNumber] = {}
        self._dm = dm
        self._steps = steps
        self._made = 0

    def find(self, name: str) -> DeviceNumber | None:
        return self.numbers.get(name)

    def make(self, name: str, content: bytes) -> DeviceNumber:
        assert name not in self.numbers or not self._dm.machine.held(self.numbers[name]), f"{name} is in use"
        self._steps.step()
        self._made += 1
        self.numbers[name] = DeviceNumber(7, self._made)
        self.contents[name] = content
        self._dm.add_disk(self.numbers[name], len(content) // 512)
        self._steps.step()
        return self.numbers[name]

    def remove(self, name: str) -> None:
        if name in self.numbers:
            assert not self._dm.machine.held(self.numbers[name]), f"{name} is in use"
            self._steps.step()
            del self.numbers[name], self.contents[name]

    def names(self) -> list[str]:
        return sorted(self.numbers)


class FailingMirrors(SimulatedDeviceMapper):
    """A device-mapper whose mirrors' legs can fail: `letters` by the number of the disk. A failure is an event.
    `unsynced` are the names of mirrors that have copied nothing yet.

    While a live mirror with `handle_errors` has a failed leg, what is above it may not be suspended: it would hang.
    `after_status` is called with the name of a mirror whose status was told. `before_pool`: before a pool's status.
    `refusals`: of so many lists of devices. `pool_failed`: thin devices do not say what they are on.
    `hydrated`: regions that clones say that they have, None for all. `commit_fails`: of their notes. What is on the
    first leg of a mirror comes to the others when the mirror goes.
    """

    def __init__(self, *, machine: Machine | None = None, letters: dict[DeviceNumber, str] | None = None) -> None:
        super().__init__(machine=machine)
        self.letters = dict(letters or {})
        self.unsynced: set[str] = set()
        self.after_status: Callable[[str], None] = lambda _: None
        self.before_pool: Callable[[], None] = lambda: None
        self.refusals = 0
        self.pool_failed = False
        self.hydrated: int | None = None
        self.commit_fails = False

    def copy(self) -> FailingMirrors:
        found = FailingMirrors(machine=self.machine.copy(), letters=self.letters)
        found.hydrated, found.commit_fails = self.hydrated, self.commit_fails
        return found

    def remove(self, ref: Ref, *, deferred: bool = False) -> None:
        self._spread(self.info(ref).name)
        super().remove(ref, deferred=deferred)

    def spread(self) -> None:
        """Have all legs of mirrors have what their first one has."""
        for entry in self.list_devices():
            self._spread(entry.name)

    def _spread(self, name: str) -> None:
        device = next(each for each in self.machine.devices.values() if each.name == name)
        if name in self.unsynced or device.live is None or [each.kind for each in device.live.targets] != ["mirror"]:
            return
        words = device.live.targets[0].value
        assert isinstance(words, Mirror)
        first, *others = device.live.targets[0].numbers[-len(words.legs) :]
        content = {sector: each for (at, sector), each in self.machine.contents.items() if at == first}
        for other in others if first in self.machine.disks else ():
            if other in self.letters or other not in self.machine.disks:
                continue
            self.machine.contents.update({(other, sector): each for sector, each in content.items()})

    def finish(self, name: str) -> None:
        """All regions of a mirror are copied."""
        self.unsynced.discard(name)
        self.machine.event(next(each for each in self.machine.devices.values() if each.name == name))

    def fail(self, number: DeviceNumber, letter: str = "D") -> None:
        self.letters[number] = letter
        for device in self.machine.devices.values():
            if device.live and any(use.number == number for use in device.live.uses):
                self.machine.event(device)

    def table(self, ref: Ref, *, inactive: bool = False) -> list[TableLine]:
        found = super().table(ref, inactive=inactive)
        if self.pool_failed and [each.target for each in found] == ["thin"]:
            return [structs.replace(found[0], params="Fail")]
        return found

    def list_devices(self) -> list[DeviceEntry]:
        if self.refusals:
            self.refusals -= 1
            raise ValueError("a defect")
        return super().list_devices()

    def status(self, ref: Ref, *, no_flush: bool = False) -> list[TargetStatus]:
        found = self._status(ref, no_flush)
        if [each.target for each in found] == ["mirror"]:
            self.after_status(self.info(ref).name)
        return found

    def _status(self, ref: Ref, no_flush: bool) -> list[TargetStatus]:
        found = super().status(ref, no_flush=no_flush)
        if [each.target for each in found] == ["thin-pool"]:
            self.before_pool()
        if [each.target for each in found] == ["mirror"]:
            status = MirrorStatus.parse(found[0].text)
            health = "".join(self.letters.get(DeviceNumber.parse(each), "A") for each in status.devices)
            words = found[0].text.split()
            words[words.index("1", 2) + 1] = health
            if self.info(ref).name in self.unsynced:
                words[words.index("1", 2) - 1] = f"0/{status.regions}"
            return [structs.replace(found[0], text=" ".join(words))]
        assert not found or found[0].target != "thin-pool" or not self._holds(), "it would hang"
        if [each.target for each in found] == ["clone"] and self.hydrated is not None:
            words = found[0].text.split()
            words[3] = f"{self.hydrated}/{words[3].partition('/')[2]}"
            return [structs.replace(found[0], text=" ".join(words))]
        if [each.target for each in found] == ["clone"] and self.commit_fails and not no_flush:
            return [structs.replace(found[0], text=found[0].text.removesuffix("rw") + "ro")]
        return found

    def suspend(self, ref: Ref, *, no_flush: bool = False, lock_fs: bool = True) -> DeviceInfo:
        is_mirror = [line.target for line in self.table(ref)] == ["mirror"]
        assert not self._holds() or (is_mirror and no_flush and not lock_fs), "it would hang, or fail writes"
        return super().suspend(ref, no_flush=no_flush, lock_fs=lock_fs)

    def message(self, ref: Ref, text: str, *, sector: int = 0) -> str:
        if text.startswith(("@stats_create", "@stats_delete")):
            table = [line.target for line in self.table(ref)]
            assert not self._holds(), "it would wait for what is held"
            assert table != ["mirror"] or not self.info(ref).open_count, "a swap would wait for it"
        return super().message(ref, text, sector=sector)

    def _holds(self) -> bool:
        tables = [super(FailingMirrors, self).table(entry.number) for entry in self.list_devices()]
        mirrors = [lines[0].params.split() for lines in tables if [line.target for line in lines] == ["mirror"]]
        return any("handle_errors" in words and str(number) in words for words in mirrors for number in self.letters)
