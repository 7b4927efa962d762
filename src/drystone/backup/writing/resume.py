"""Going on with a backup that was killed: what it had put is not read again, nor put again.

A run puts down how far it has come, each time after everything until there is durable. The next run of the same source
upon the same base takes over its packs: it announces itself with the dead one's writers, and then looks whether that
one's object is still there. If it is, no collector has begun to clean up after it, and none will.
docs/reference/backup-format.md, Progress and Order of writes.
"""

from __future__ import annotations

from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from drystone.backup.format import progress
from drystone.backup.format.digest import NOTHING
from drystone.backup.format.keys import pack_writer, parse_operation_key, parse_progress_key, progress_key, progress_of
from drystone.backup.format.manifest import Shape
from drystone.backup.format.pack import Place
from drystone.backup.format.progress import Row, Step
from drystone.backup.format.segment import Segment
from drystone.backup.pipeline import ordered
from drystone.backup.reading.locate import Locator
from drystone.backup.reading.segments import read_segment_at
from drystone.backup.state.operations import Announced, Operation, dead, is_there
from drystone.backup.vault import Vault
from drystone.backup.writing.commit import needed, reached_sizes
from drystone.backup.writing.presence import sizes_beside
from drystone.base.errors import DamagedError, DrystoneError, NotFoundError


@dataclass(frozen=True, slots=True)
class Dead:
    """An operation that nobody does any more, and that can be gone on with."""

    key: str
    operation: Operation


@dataclass(frozen=True, slots=True)
class Done:
    """What a dead run had done: the segments below `end`. `read`: bytes.

    :ivar sizes: bytes of the packs that are there of its `writers`, by id.
    """

    end: int
    rows: dict[int, Row]
    read: int
    sizes: dict[bytes, int]
    writers: set[bytes]


def find_dead(vault: Vault, volume: str, base: str, identity: str) -> Dead | None:
    """Of the dead runs with this volume, base and identity the one that has come farthest; None: there is none."""
    if not identity:
        return None
    wanted = (volume, base, identity)
    found: list[tuple[int, Dead]] = []
    for key, each in dead(vault).items():
        if each.operation == "backup" and (each.volume, each.base, each.identity) == wanted:
            steps = sum(1 for _ in vault.store.list(progress_of(_name(key))))
            found.append((steps, Dead(key, each)))
    steps, best = max(found, key=lambda pair: (pair[0], pair[1].key), default=(0, None))
    return best if steps else None


def take_over(locator: Locator, past: Dead, shape: Shape) -> Done | None:
    """What a dead run had done, whose writers have been announced as one's own; None: it is of no use any more."""
    vault = locator.vault
    if not is_there(vault, past.key):
        return None
    steps = _read_steps(vault, _name(past.key), shape)
    if not steps:
        return None
    writers = {bytes.fromhex(each) for each in past.operation.writers}
    listed = {pack: size for pack, size in sizes_beside(vault, writers).items() if pack_writer(pack) in writers}
    rows = {number: row for step in steps for number, row in step.rows.items()}
    return Done(steps[-1].end, rows, steps[-1].read, listed, writers)


def read_done(
    locator: Locator, done: Done, shape: Shape, threads: int
) -> Generator[tuple[int, Row, Segment | None], None, None]:
    """The segments that a dead run had gone through, ascending, read back.

    :raises DamagedError: one cannot be read, or refers to a pack which is not there or going: none is of use then.
    """

    def read(number: int) -> Segment | None:
        name, place = done.rows[number]
        if place is None:
            return None
        segment = read_segment_at(locator, place, name, number, shape.slots_of(number))
        for pack in (place.pack, *segment.packs):
            if pack_writer(pack) in done.writers and pack not in done.sizes:
                raise DamagedError(f"pack {pack.hex()} is missing")
        return segment

    numbers = sorted(done.rows)
    others: set[bytes] = set()
    with ThreadPoolExecutor(threads, thread_name_prefix="resume") as pool:
        for number, segment in zip(numbers, ordered(pool, read, numbers, 4 * threads), strict=True):
            others.update(segment.packs if segment is not None else ())
            yield number, done.rows[number], segment
    others = {pack for pack in others if pack_writer(pack) not in done.writers}
    if needed(locator.state, others, reached_sizes(locator.vault, locator.state, others)) is None:
        raise DamagedError("a pack is missing that an earlier run refers to")


def _read_steps(vault: Vault, name: str, shape: Shape) -> list[Step]:
    """The steps of an operation as far as they follow one another, each whole and of this shape."""
    numbers = {parsed[1] for key, _ in vault.store.list(progress_of(name)) if (parsed := parse_progress_key(key))}
    steps: list[Step] = []
    for number in range(len(numbers)):
        key = progress_key(name, number)
        try:
            step = progress.parse(vault.get(key), key)
        except (NotFoundError, DamagedError):
            break
        if step.shape != shape or step.begin != (steps[-1].end if steps else 0) or step.end > shape.segments:
            break
        steps.append(step)
    return steps


def _name(key: str) -> str:
    name = parse_operation_key(key)
    assert name is not None
    return name


@dataclass(slots=True)
class Recorder:
    """Puts down how far a backup has come. Nothing where its source cannot be recognised again.

    :ivar every: bytes of the source between two steps. :ivar put: steps that are there.
    """

    vault: Vault
    announced: Announced
    shape: Shape
    every: int
    put: int = 0
    _end: int = 0
    _read: int = 0
    _rows: dict[int, Row] = field(default_factory=dict)

    @property
    def wanted(self) -> bool:
        """Whether progress is kept at all."""
        return bool(self.announced.operation.identity)

    def add(self, number: int, name: bytes, place: Place | None) -> None:
        """A segment that was gone through."""
        if self.wanted:
            self._rows[number] = (name, None if name == NOTHING else place)

    def is_due(self, read: int) -> bool:
        """Whether so much has been read since the last step that another is worth its cost."""
        return self.wanted and read - self._read >= self.every

    def record(self, end: int, read: int) -> None:
        """Put a step: all segments below `end` are done, and durable already. One that cannot be put is left out."""
        step = Step(self.shape, self._end, end, self._rows, read)
        # Before the put: from now on somebody may take over what this run has put.
        self.announced.keep = True
        try:
            self.vault.put(progress_key(self.announced.name, self.put), progress.encode(step))
        except DrystoneError:
            self._read = read
            return
        self.put += 1
        self._end, self._read, self._rows = end, read, {}
