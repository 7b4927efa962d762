"""Any history of an era device: every backup that is made restores to what the device held."""

from __future__ import annotations

import contextlib
import itertools
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from drystone.backup.era_backup import EraRequest, back_up_era
from drystone.backup.pipeline import Progress, silent
from drystone.backup.repository import create_repository
from drystone.backup.tuning import Tuning
from drystone.base.names import new_uuid
from drystone.formats.era.tag import Session
from drystone.testing.era_device import FileEraDevice
from drystone.testing.stores import MemoryStore

VOLUME = "11111111-1111-4111-8111-111111111111"
BLOCK = 16384
SIZES = st.integers(1, 40).map(lambda eighths: eighths * 8192)
PLACES = st.tuples(st.floats(0, 1, exclude_max=True), st.integers(1, 20000), st.integers(0, 255))
"""Where in the device, how many bytes, and which."""
TUNING = Tuning(chunk_size=65536, segment_slots=2, pack=200_000, threads=1)


class EraHistory(RuleBasedStateMachine):
    """Writes, eras, resizes, metadata made anew, states lost and put back, backups deleted."""

    @initialize(size=SIZES)
    def begin(self, size: int) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name)
        self.era = FileEraDevice(self.path, size, new_uuid(), BLOCK)
        self.repository = create_repository(MemoryStore(), tuning=TUNING)
        self.images: dict[str, bytes] = {}
        self.states: list[bytes] = []
        self.moments: list[tuple[tuple[str, list[Session], int, list[int], int], bytes]] = []
        self.discards = 0
        self.numbers = itertools.count(2)

    def write_somewhere(self, place: tuple[float, int, int]) -> None:
        at, length, fill = place
        offset = int(at * self.era.size)
        self.era.write(offset, bytes([fill]) * min(length, self.era.size - offset))

    @rule(places=st.lists(PLACES, min_size=1, max_size=4))
    def write(self, places: list[tuple[float, int, int]]) -> None:
        for place in places:
            self.write_somewhere(place)

    @rule()
    def checkpoint(self) -> None:
        self.era.era += 1

    @rule(size=SIZES, place=PLACES)
    def resize(self, size: int, place: tuple[float, int, int]) -> None:
        self.write_somewhere(place)
        if size < self.era.size:
            self.era.tag = new_uuid()  # as `era create --continue` does
        self.era.resize(size)

    @rule(tagged=st.booleans(), place=PLACES)
    def make_anew(self, tagged: bool, place: tuple[float, int, int]) -> None:
        """As many eras as before may have come when the next backup is made."""
        self.back_up_as(EraRequest(VOLUME, "db"))
        self.write_somewhere(place)
        era = self.era.era
        self.era.make_anew(new_uuid() if tagged else "")
        self.era.era = era

    @rule()
    def start_again(self) -> None:
        self.era.start_again(next(self.numbers))

    @rule(place=PLACES)
    def put_a_copy_back(self, place: tuple[float, int, int]) -> None:
        """A copy of the metadata, a backup, and the copy is put back. Without a backup after it nobody can know."""
        kept = (list(self.era.sessions), self.era.era, list(self.era.eras))
        self.era.start_again(next(self.numbers))
        self.back_up_as(EraRequest(VOLUME, "db"))
        self.write_somewhere(place)
        self.era.sessions, self.era.era, self.era.eras = kept
        self.era.start_again(next(self.numbers))
        self.back_up_as(EraRequest(VOLUME, "db"))
        # An older state would know the session, and not what the copy has forgotten.
        self.lose_the_state()
        self.states.clear()
        self.delete_all_but_the_last()

    @rule()
    def keep_a_moment(self) -> None:
        """As a snapshot of a whole virtual machine does, device and metadata."""
        era = self.era
        kept = (era.tag, list(era.sessions), era.era, list(era.eras), self.discards)
        self.moments.append((kept, era.data.read_bytes()))

    @rule(which=st.integers(0, 5), activations=st.integers(1, 4))
    def go_back_to_a_moment(self, which: int, activations: int) -> None:
        if self.moments:
            kept, data = self.moments[which % len(self.moments)]
            era = self.era
            era.tag, sessions, era.era, eras, self.discards = kept
            era.sessions, era.eras = list(sessions), list(eras)
            era.data.write_bytes(data)
            for _ in range(activations):
                era.start_again(next(self.numbers))

    @rule(place=PLACES)
    def discard_wrongly(self, place: tuple[float, int, int]) -> None:
        """Data that reads as zeros and is not recorded; the queue shows that it could have been."""
        self.write_somewhere(place)
        self.back_up_as(EraRequest(VOLUME, "db"))
        before = list(self.era.eras)
        self.write_somewhere((place[0], place[1], 0))
        self.era.eras = before
        self.discards = self.era.era

    def back_up_as(self, request: EraRequest, progress: Progress = silent) -> None:
        disk = self.era.disk(discards_until=self.discards)
        made = back_up_era(self.repository, disk, request, damaged=lambda _: None, progress=progress)
        self.images[made.head.backup] = self.era.data.read_bytes()

    @rule(place=PLACES)
    def back_up(self, place: tuple[float, int, int]) -> None:
        self.back_up_as(EraRequest(VOLUME, "db"))
        self.write_somewhere(place)

    @rule(place=PLACES)
    def back_up_by_file(self, place: tuple[float, int, int]) -> None:
        path = self.path / "state"
        self.back_up_as(EraRequest(VOLUME, "db", state_file=path))
        self.states.append(path.read_bytes())
        self.write_somewhere(place)

    @rule()
    def fail_to_back_up(self) -> None:
        def stop(done: int, total: int) -> None:
            raise InterruptedError

        with contextlib.suppress(InterruptedError):
            self.back_up_as(EraRequest(VOLUME, "db", state_file=self.path / "state"), stop)

    @rule(which=st.integers(0, 5))
    def put_an_old_state_back(self, which: int) -> None:
        if self.states:
            (self.path / "state").write_bytes(self.states[which % len(self.states)])

    @rule()
    def lose_the_state(self) -> None:
        (self.path / "state").unlink(missing_ok=True)

    @rule(which=st.integers(0, 5))
    def delete(self, which: int) -> None:
        if self.images:
            backup = list(self.images)[which % len(self.images)]
            self.check(backup)
            del self.images[backup]
            self.repository.delete(VOLUME, backup)

    def delete_all_but_the_last(self) -> None:
        for _ in range(len(self.images) - 1):
            self.delete(0)

    @invariant()
    def nothing_is_held(self) -> None:
        assert not self.era.holding

    def teardown(self) -> None:
        if not hasattr(self, "images"):
            return
        with self.folder:
            for backup in self.images:
                self.check(backup)

    def check(self, backup: str) -> None:
        target = self.path / "restored"
        self.repository.restore(VOLUME, backup, str(target), overwrite=True)
        assert target.read_bytes() == self.images[backup]


TestEraHistory = EraHistory.TestCase
TestEraHistory.settings = settings(max_examples=30, stateful_step_count=20, deadline=None)
