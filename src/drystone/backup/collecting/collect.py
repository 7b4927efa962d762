"""Collecting: what no backup needs goes, in two phases, so that writers need not be stopped.

docs/reference/backup-format.md, Collecting. First a pack is doomed: from then on nobody begins to refer to it. When no
operation is left that began before, it goes under `removed`, and a writer that was wrongly taken for dead finds it
there and fails before its backup is acknowledged. Then the object is deleted. Each step is a change of state, so when
this is cut off anywhere, the next collector goes on from what it finds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field

import msgspec

from drystone.backup.collecting.index_objects import IndexRewriter, Names
from drystone.backup.collecting.needs import Needs
from drystone.backup.format.keys import (
    INDEX,
    PROGRESS,
    VOLUMES,
    new_writer,
    operation_key,
    pack_key,
    pack_writer,
    parse_index_key,
    parse_manifest_key,
    parse_pack_key,
    parse_progress_key,
)
from drystone.backup.objects import pack_sizes
from drystone.backup.reading.locate import reach
from drystone.backup.state.document import Doom, State
from drystone.backup.state.generations import change_state, read_state
from drystone.backup.state.operations import Announced, Operation, announced, is_there, living
from drystone.backup.vault import Vault
from drystone.backup.writing.presence import sizes_of
from drystone.base.errors import BusyError

_SPARE = 16


@dataclass(frozen=True, slots=True)
class Collected:
    """What a collection did: packs and bytes that were deleted, and that wait for operations that are under way."""

    packs: int = 0
    bytes: int = 0
    waiting: int = 0
    waiting_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Listing:
    """What was in the store, before the operations were read."""

    packs: dict[bytes, int]
    manifests: frozenset[str]
    indexes: dict[str, int]
    progress: frozenset[str]


@dataclass(slots=True)
class Job:
    """One collection.

    :ivar writer: the name in the ids of its packs, 12 bytes. :ivar operations: the living ones, its own left out.
    """

    vault: Vault
    own: Announced
    writer: bytes
    names: Names
    threads: int
    force: bool = False
    listing: Listing = field(default_factory=lambda: Listing({}, frozenset(), {}, frozenset()))
    operations: dict[str, Operation] = field(default_factory=dict)

    def look(self) -> None:
        """List the store, then read the operations; dead ones go. In this order: see `_unwanted`."""
        self.listing = list_store(self.vault)
        self.read_operations()
        open_keys = {*self.operations, self.own.key}
        for key in self.listing.progress:
            parsed = parse_progress_key(key)
            if parsed is not None and operation_key(parsed[0]) not in open_keys:
                self.vault.store.delete(key)

    def read_operations(self) -> None:
        """The living operations, as of now."""
        found = living(self.vault, force=self.force, own=self.own.key)
        self.operations = {key: each for key, each in found.items() if key != self.own.key}

    def check_announced(self) -> None:
        """Before a change refers to what this collection put. :raises BusyError: somebody took it for dead."""
        if not is_there(self.vault, self.own.key):
            raise BusyError("this collection was taken for dead while it ran", hint="run it again")

    def living_writers(self) -> set[bytes]:
        """Names of the writers of living operations."""
        return {bytes.fromhex(name) for each in self.operations.values() for name in each.writers}


@contextmanager
def begin(vault: Vault, threads: int, *, force: bool = False, operation: str = "collect") -> Iterator[Job]:
    """Announce a collection and look around.

    :param operation: "read" for one that nothing must be taken from while it runs.
    """
    spare = 2 * len(read_state(vault).indexes) + _SPARE
    writer, *names = (new_writer() for _ in range(1 + spare))
    with announced(vault, operation, writers=tuple(each.hex() for each in (writer, *names))) as own:
        job = Job(vault, own, writer, Names(each.hex() for each in names), threads, force)
        job.look()
        yield job


def list_store(vault: Vault) -> Listing:
    """List what may have to go."""
    store = vault.store
    return Listing(
        pack_sizes(vault),
        frozenset(key for key, _ in store.list(VOLUMES) if parse_manifest_key(key) is not None),
        {name: size for key, size in store.list(INDEX) if (name := parse_index_key(key)) is not None},
        frozenset(key for key, _ in store.list(PROGRESS)),
    )


@dataclass(frozen=True, slots=True)
class Moves:
    """Packs whose records, as far as they are needed, were copied.

    :ivar moved: pack to the packs that have them now. :ivar indexes: names of indexes over these.
    :ivar holds: whether all that the backups of a state need of a pack was copied.
    :ivar needed: whether something in a pack is needed where it is, counted exactly.
    """

    moved: dict[bytes, list[bytes]]
    indexes: tuple[str, ...]
    holds: Callable[[bytes], bool]
    needed: Callable[[bytes], bool]

    def packs(self) -> set[bytes]:
        """The new packs."""
        return {each for new in self.moved.values() for each in new}


def doom(job: Job, needs: Needs, moves: Moves | None = None) -> State:
    """First phase: doom what nobody needs and what was moved. The state that has it."""

    def compute(state: State) -> State:
        needs.read(state)
        wanted = reach(state, needs.named(state))
        lost = state.removed_packs()
        known = {bytes.fromhex(each.pack) for each in state.doomed}
        found = {pack for pack in _unwanted(job, wanted) if pack not in known | lost}
        kept = [each for each in state.doomed if not _is_wrong(state, wanted, job.listing.packs, each)]
        moved = dict(state.moved)
        indexes = state.indexes
        if moves is not None:
            kept = [each for each in kept if not _is_needed_again(job, wanted, each, moves)]
            valid = _valid(job, moves, known, lost)
            for pack in valid:
                # The new ones in front: what was copied now was whole.
                moved[pack.hex()] = (*(each.hex() for each in moves.moved[pack]), *moved.get(pack.hex(), ()))
            targets = {each for pack in valid for each in moves.moved[pack]}
            found = (found - targets) | valid
            if valid:
                job.check_announced()
                indexes = (*indexes, *(name for name in moves.indexes if name not in indexes))
        if not found and len(kept) == len(state.doomed):
            return state
        new = [Doom(pack.hex(), state.number + 1) for pack in sorted(found)]
        return msgspec.structs.replace(state, doomed=(*kept, *new), moved=moved, indexes=indexes)

    return change_state(job.vault, compute)


def _valid(job: Job, moves: Moves, known: set[bytes], lost: set[bytes]) -> set[bytes]:
    """The moves that can be made: nobody else did, all is copied, and the new packs are there."""
    targets = moves.packs()
    fit = sizes_of(job.vault, targets - lost).keys() - known
    free = moves.moved.keys() - known - lost
    return {pack for pack in free if fit.issuperset(moves.moved[pack]) and moves.holds(pack)}


def _unwanted(job: Job, wanted: set[bytes]) -> set[bytes]:
    """Packs that no backup needs and no living operation writes.

    The store was listed before the operations were read, and these before the state: the writer of a pack that was
    listed is among the operations, or it has ended, and then the state has its backup.
    """
    writers = job.living_writers() | {job.writer}
    return {pack for pack in job.listing.packs if pack not in wanted and pack_writer(pack) not in writers}


def _is_wrong(state: State, wanted: set[bytes], listed: dict[bytes, int], each: Doom) -> bool:
    """Whether a doomed pack need not be: it is gone, or a backup names it and it was moved nowhere."""
    pack = bytes.fromhex(each.pack)
    return pack not in listed or (pack in wanted and each.pack not in state.moved)


def _is_needed_again(job: Job, wanted: set[bytes], each: Doom, moves: Moves) -> bool:
    """Whether a pack was moved and doomed earlier, and a copy of what is needed of it is lost or damaged."""
    pack = bytes.fromhex(each.pack)
    return each.at <= job.own.state.number and pack in wanted and moves.needed(pack)


def remove(job: Job, needs: Needs, since: State, moves: Moves | None = None) -> Collected:
    """Second and third phase: what was doomed before the living operations began goes, and what else is stray.

    :param since: the state of the first phase, or a later one. :param moves: of the first phase.
    """
    job.read_operations()
    writers = {name for each in job.operations.values() for name in each.writers} | set(job.own.operation.writers)
    backups = {each.backup for each in job.operations.values()}
    # A collector may refer to nothing but what it copied itself, and looks again when it changes the state.
    begun = min((each.generation for each in job.operations.values() if each.operation != "collect"), default=None)
    alone = not job.operations
    rewriter = IndexRewriter(job.vault, job.names)
    before = reach(since, needs.named(since)) if alone else set()

    def compute(state: State) -> State:
        needs.read(state)
        wanted = reach(state, needs.named(state))
        gone = {
            bytes.fromhex(each.pack)
            for each in state.doomed
            if each.at <= since.number and (begun is None or begun >= each.at)
            if bytes.fromhex(each.pack) not in wanted or _is_elsewhere(job, state, each.pack, moves)
        }
        named = {f"{VOLUMES}/{each.volume}/backups/{each.backup}" for each in state.backups}
        strays = {key for key in job.listing.manifests - named if _backup_of(key) not in backups}
        indexes = rewriter.rewrite(state.indexes, gone, job.listing.indexes)
        if indexes != state.indexes:
            job.check_announced()
        old = {name for name in state.indexes if name not in indexes}
        old |= {name for name in job.listing.indexes if name not in state.indexes and name not in writers}
        keys = {*map(pack_key, gone), *strays, *(f"{INDEX}/{name}" for name in old)}
        moved = {
            pack: new
            for pack, new in state.moved.items()
            if not alone or bytes.fromhex(pack) in wanted or bytes.fromhex(pack) in before
        }
        if keys <= set(state.removed) and len(moved) == len(state.moved) and indexes == state.indexes and not gone:
            return state
        return msgspec.structs.replace(
            state,
            doomed=tuple(each for each in state.doomed if bytes.fromhex(each.pack) not in gone),
            removed=tuple(sorted({*state.removed, *keys})),
            indexes=indexes,
            moved=moved,
            damaged={pack: offsets for pack, offsets in state.damaged.items() if bytes.fromhex(pack) not in gone},
        )

    state = change_state(job.vault, compute)
    return _delete(job, state)


def _is_elsewhere(job: Job, state: State, pack: str, moves: Moves | None) -> bool:
    """Whether a pack was moved, and all that it was moved to, however often, is there and whole, or was moved on."""
    own = bytes.fromhex(pack)
    unneeded = moves is not None and not moves.needed(own)
    for target in reach(state, [own]) - {own}:
        name = target.hex()
        there = target in job.listing.packs or name in state.moved or pack_writer(target) == job.writer
        # Where a copy is damaged this pack may have the only whole one: then it is counted, by what was known then.
        counted = unneeded and state.damaged.get(name) == job.own.state.damaged.get(name)
        if not there or (state.damaged.get(name) and not counted):
            return False
    return bool(state.moved.get(pack))


def _backup_of(key: str) -> str:
    names = parse_manifest_key(key)
    return names[1] if names is not None else ""


def _delete(job: Job, state: State) -> Collected:
    """Third phase: delete what is under `removed`, and after that say so."""
    gone = frozenset(state.removed)
    _delete_all(job, gone)

    def compute(newest: State) -> State:
        left = tuple(key for key in newest.removed if key not in gone)
        return newest if len(left) == len(newest.removed) else msgspec.structs.replace(newest, removed=left)

    change_state(job.vault, compute)
    sizes = job.listing.packs
    packs = [pack for key in gone if (pack := parse_pack_key(key)) is not None]
    waiting = [bytes.fromhex(each.pack) for each in state.doomed]
    return Collected(
        len(packs),
        sum(sizes.get(pack, 0) for pack in packs),
        len(waiting),
        sum(sizes.get(pack, 0) for pack in waiting),
    )


def _delete_all(job: Job, keys: Iterable[str]) -> None:
    with ThreadPoolExecutor(job.threads, thread_name_prefix="delete") as pool:
        for _ in pool.map(job.vault.store.delete, sorted(keys)):
            pass
