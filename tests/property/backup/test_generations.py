"""Two writers, a collector and others on one store, their steps in any order, each killed anywhere, late requests too:
what was acknowledged is there and whole, and in the end everything can be deleted.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec
from blake3 import blake3
from hypothesis import example, given, settings
from hypothesis import strategies as st

from drystone.backup.collecting.delete import delete_backups
from drystone.backup.format.codec import Codec
from drystone.backup.format.keys import new_writer, pack_id, pack_key, state_key
from drystone.backup.format.manifest import Head, Manifest, Shape
from drystone.backup.format.pack import Kind, PackBuilder, Place, Record, make_record
from drystone.backup.format.segment import Segment
from drystone.backup.reading.locate import Locator
from drystone.backup.repository import create_repository, open_repository
from drystone.backup.state.document import State
from drystone.backup.state.generations import KEPT, change_state, read_state
from drystone.backup.state.operations import announced
from drystone.backup.tuning import Tuning
from drystone.backup.vault import Vault, open_vault, put_own
from drystone.backup.writing.commit import Draft
from drystone.backup.writing.index import ChunkIndex
from drystone.backup.writing.known import load_known
from drystone.backup.writing.mapping import MapMaker
from drystone.backup.writing.presence import Presence
from drystone.backup.writing.spoilt import Spoilt
from drystone.backup.writing.writer import PackWriter
from drystone.base.errors import DrystoneError
from drystone.base.names import new_uuid
from drystone.store import Store
from drystone.testing.repositories import collect_garbage, left_over, read_back, sweep
from drystone.testing.scheduled import Fate, Process
from drystone.testing.stores import MemoryStore

CHUNK = 65536
TUNING = Tuning(chunk_size=CHUNK, segment_slots=4, pack=2 * CHUNK, threads=1)
VOLUME = "11111111-1111-4111-8111-111111111111"


def chunk(number: int) -> bytes:
    return blake3(b"chunk %d" % number).digest(64) * (CHUNK // 64)


class StraightWriter(PackWriter):
    """Puts in the caller's thread: a process of the test does one thing at a time."""

    def __init__(self, vault: Vault, writer: bytes) -> None:
        super().__init__(vault, writer, Tuning(pack=1 << 20))
        self._name = writer
        self._builders: dict[Kind, PackBuilder] = {}

    def add(self, record: Record) -> Place:
        if record.kind not in self._builders:
            self.packs.append(pack_id(self._name, len(self.packs)))
            self._builders[record.kind] = PackBuilder(self.packs[-1], 1 << 20)
        return self._builders[record.kind].add(record)

    def flush(self) -> None:
        for builder in self._builders.values():
            put_own(self._vault.store, pack_key(builder.pack), builder.finish())


def write(vault: Vault, numbers: list[int]) -> str:
    """A backup of these chunks by the engine's own parts, in one thread; its UUID."""
    names = [new_writer(), new_writer()]
    backup = new_uuid()
    writers = tuple(each.hex() for each in names)
    with announced(vault, "backup", VOLUME, backup, writers=writers) as own:
        locator = Locator(vault, own.state)
        draft = Draft(vault, own, [writers[1]])
        spoilt = Spoilt(locator.state)
        index = ChunkIndex(1000, 1000, load_known(locator, spoilt, 1000, 100), Presence(vault))
        writer = StraightWriter(vault, names[0])
        shape = Shape(CHUNK * len(numbers), CHUNK, 4)
        maker = MapMaker(locator, spoilt, writer, None, relative=False)
        try:
            segment = Segment.empty(0, len(numbers))
            for slot, number in enumerate(numbers):
                plain = chunk(number)
                leaf = vault.hasher.digest(plain)
                place = index.find(leaf)
                if place is None:
                    place = writer.add(make_record(Kind.CHUNK, Codec.PLAIN, leaf, plain, CHUNK))
                    index.add(leaf, place)
                segment.put(slot, leaf, place)
            maker.replace(None, segment)
            tables = maker.finish(shape)
            writer.flush()
            draft.put_indexes(index.finished(last=True))
            head = Head(
                backup=backup, volume=VOLUME, parent="", created=f"{len(own.key)}", source="s", size=shape.size,
                chunk_size=CHUNK, segment_slots=4, root=tables.root.hex(), chunks=tables.chunks, read=0, stored=0,
                about={"numbers": ",".join(map(str, numbers))},
            )  # fmt: skip
            draft.commit(Manifest(head, tables.segments, tables.packs))
        except BaseException:
            draft.take_back(writer.packs)
            raise
    return backup


@dataclass
class World:
    """A store, its processes, and what was promised. `late`: requests that arrive some time."""

    store: MemoryStore = field(default_factory=MemoryStore)
    late: list[Callable[[], object]] = field(default_factory=list)
    processes: list[tuple[str, Process]] = field(default_factory=list)

    def __post_init__(self) -> None:
        create_repository(self.store)
        vault = open_vault(self.store)
        write(vault, [1, 2, 3])
        write(vault, [3, 4])

    def begin(self, kind: str, numbers: list[int]) -> None:
        known = [each.backup for each in read_state(open_vault(self.store)).backups]
        victim = known[numbers[0] % len(known)] if known else new_uuid()

        def work(store: Store) -> object:
            vault = open_vault(store)
            if kind == "write":
                return write(vault, numbers)
            if kind == "delete":
                return delete_backups(vault, [(VOLUME, victim)], tuning=TUNING)
            if kind == "changes":
                return [change(vault) for _ in range(KEPT + 5)]
            return collect_garbage(vault, tuning=TUNING, force=kind == "force")

        process = Process(self.store, work, self.late)
        self.processes.append((kind, process))
        process.start()
        if kind == "delete":
            deleted.add(victim)

    def check(self) -> None:
        """Run what is left to its end, deliver what is late, and look."""
        for _, process in self.processes:
            process.finish()
        for request in self.late:
            request()
        vault = open_vault(self.store)
        state = read_state(vault)
        repository = open_repository(self.store, tuning=TUNING)
        there = {each.backup for each in state.backups}
        for kind, process in self.processes:
            if process.error is not None and not process.killed:
                assert isinstance(process.error, DrystoneError), process.error
            if kind == "write" and isinstance(process.outcome, str):
                assert process.outcome in there | deleted, "an acknowledged backup is not listed"
        for entry in state.backups:
            numbers = [int(each) for each in entry.about["numbers"].split(",")]
            assert read_back(vault, VOLUME, entry.backup, TUNING) == b"".join(map(chunk, numbers))
            repository.verify(VOLUME, entry.backup)
        for entry in state.backups:
            repository.delete(VOLUME, entry.backup)
        sweep(repository, force=True)
        sweep(repository, force=True)
        assert left_over(self.store) == []


deleted: set[str] = set()
"""Backups that somebody wanted to delete, in any example: their UUIDs are random."""


def change(vault: Vault) -> State:
    """A change that changes nothing but the number."""
    return change_state(vault, msgspec.structs.replace)


kinds = st.sampled_from(["write", "write", "delete", "collect", "force", "changes"])
begins = st.tuples(st.just("begin"), kinds, st.lists(st.integers(1, 6), min_size=1, max_size=4))
steps = st.tuples(st.just("step"), st.integers(0, 9), st.integers(1, 12))
ends = st.tuples(st.just("end"), st.integers(0, 9), st.just(0))
kills = st.tuples(
    st.just("kill"), st.integers(0, 9), st.sampled_from([Fate.KILLED, Fate.KILLED_AFTER, Fate.LATE, Fate.LATE])
)
arrivals = st.tuples(st.just("arrive"), st.integers(0, 9), st.just(0))


@settings(max_examples=150, deadline=None)
@given(st.lists(st.one_of(begins, steps, steps, steps, ends, kills, arrivals), min_size=5, max_size=40))
def test_nothing_that_was_acknowledged_is_lost(script: list[tuple[str, object, object]]) -> None:
    world = World()
    for action, first, second in script:
        if action == "begin":
            assert isinstance(first, str)
            assert isinstance(second, list)
            if len(world.processes) < 6:
                world.begin(first, second)
            continue
        assert isinstance(first, int)
        if action == "arrive":
            if world.late:
                world.late.pop(first % len(world.late))()
            continue
        if not world.processes:
            continue
        process = world.processes[first % len(world.processes)][1]
        if action == "end":
            process.finish()
        elif action == "kill":
            assert isinstance(second, Fate)
            process.step(second)
            process.finish()
        else:
            assert isinstance(second, int)
            for _ in range(second):
                process.step()
    world.check()


def indexes(state: State) -> set[str]:
    return set(state.indexes)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(1, 60)), max_size=30), st.integers(0, 40))
@example([(0, 3), (1, 200), (0, 9)], 0)
@example([(0, 2), (1, 4)], 1)
def test_no_change_of_state_is_lost(schedule: list[tuple[int, int]], killed_at: int) -> None:
    """Four that change the state, each often enough that numbers are tidied away below those who stand still."""
    store = MemoryStore()
    create_repository(store)
    late: list[Callable[[], object]] = []

    def work(number: int) -> Callable[[Store], object]:
        def run(own: Store) -> object:
            vault = open_vault(own)
            done = []
            for turn in range(KEPT + 4 if number else 3):
                name = f"{number:04x}{turn:020x}"
                change_state(vault, lambda state, name=name: add(state, name))  # type: ignore[misc]
                done.append(name)
                acknowledged.add(name)
            return done

        return run

    acknowledged: set[str] = set()
    processes = [Process(store, work(number), late) for number in range(4)]
    for each in processes:
        each.start()
    for at, (which, count) in enumerate(schedule):
        for _ in range(count):
            processes[which].step()
        if at == killed_at:
            processes[which].step(Fate.LATE)
    for each in processes:
        each.finish()
    for request in late:
        request()
    state = read_state(open_vault(store))
    assert acknowledged <= indexes(state)
    assert len(state.indexes) == len(indexes(state)), "a change was made twice"
    assert [each.error for each in processes if not each.killed and each.error is not None] == []
    change(open_vault(store))
    assert store.get(state_key(state.number + 1))


def add(state: State, name: str) -> State:
    return state if name in state.indexes else msgspec.structs.replace(state, indexes=(*state.indexes, name))
