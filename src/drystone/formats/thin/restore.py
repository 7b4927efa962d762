"""Writing thin metadata out of a dump's parts: trees from the bottom up, shared leaves once, the superblock last.

Order on the disk: block 0 is zeroed and flushed, then everything else is written and flushed, then the superblock. So
whatever happens in between, what is there is either no thin metadata or all of it.

A definition becomes leaves that no tree has yet; each device that refers to it takes them in, so they are shared. What
no device refers to is free in the end. Memory: 32 bytes for each leaf of a definition, and a byte for each data and
metadata block.
"""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drystone.base.errors import DamagedError, ExhaustedError, MismatchError
from drystone.formats.pdata.allocator import Allocator
from drystone.formats.pdata.blocks import BLOCK, BlockDisk, count_blocks
from drystone.formats.pdata.btree import BATCH, flatten, view_nodes
from drystone.formats.pdata.btree_writer import LeafWriter, Leaves, TreeWriter
from drystone.formats.pdata.counts import ReferenceCounts
from drystone.formats.pdata.spacemap import SpaceMapRoot
from drystone.formats.pdata.spacemap_writer import write_data_space_map, write_metadata_space_map
from drystone.formats.pdata.superblock import write_superblock_block
from drystone.formats.pdata.write_behind import WriteBehind
from drystone.formats.thin import layout
from drystone.formats.thin.device_trees import DETAILS, TOP
from drystone.formats.thin.devices import DeviceDetails
from drystone.formats.thin.dump import DeviceEnd, Pool
from drystone.formats.thin.extents import Runs, concatenate_runs
from drystone.formats.thin.mappings import MAPPINGS, get_data_blocks
from drystone.formats.thin.parse import DefBegin, DefEnd, DeviceBegin, DumpPart, Mappings, Ref
from drystone.formats.thin.superblock import Superblock, pack_superblock, parse_superblock, write_superblock
from drystone.formats.xml.reader import refuse

_ZERO = np.zeros(1, dtype=np.uint64)

_NO_MAP = SpaceMapRoot(0, 0, 0, 0)

_AHEAD = 1 << 13
"""Rows of a dump that are read ahead."""

_AT_ONCE = 1 << 16
"""Mappings that a run is taken apart into at once."""

_TOGETHER = 1 << 17
"""Mappings that what was read ahead is taken apart into at once, when it is no more than that."""


@dataclass(frozen=True, slots=True)
class _Entries:
    """Mappings taken apart: keys, which ascend, and values. `line`: where the first of them is told."""

    keys: NDArray[np.uint64]
    values: NDArray[np.uint64]
    line: int


_Part = DumpPart | _Entries


@dataclass(frozen=True, slots=True)
class Overrides:
    """What to write instead of what the dump tells; None leaves it. `data_block_size` in sectors."""

    transaction_id: int | None = None
    data_block_size: int | None = None
    nr_data_blocks: int | None = None


def restore(disk: BlockDisk, parts: Iterable[DumpPart], overrides: Overrides | None = None) -> Superblock:
    """Write the metadata that `parts` tell to `disk`. Durable when it returns.

    :raises DamagedError: the parts do not make thin metadata. Nothing was written when that is so of the first part;
        else there is no metadata on the disk any more.
    :raises ExhaustedError: the disk is too small; likewise.
    """
    iterator = iter(parts)
    pool = next(iterator, None)
    if not isinstance(pool, Pool):
        raise DamagedError("line 1: there is no thin metadata in it")
    pool = _override(pool, overrides or Overrides())
    with WriteBehind(disk) as behind:
        writing = _Writing(behind, pool)
        with contextlib.closing(_take_ahead(iterator, pool.nr_data_blocks)) as coming:
            for part in coming:
                writing.take(part)
        return writing.finish()


def _take_ahead(parts: Iterator[DumpPart], nr_data_blocks: int) -> Generator[_Part, None, None]:
    """The same parts; a thread makes the next ones out of text while these are written."""
    with ThreadPoolExecutor(1) as threads:
        coming = threads.submit(_take_some, parts, nr_data_blocks)
        while some := coming.result():
            coming = threads.submit(_take_some, parts, nr_data_blocks)
            yield from some


def _take_some(parts: Iterator[DumpPart], nr_data_blocks: int) -> list[_Part]:
    """The next parts, some _AHEAD rows of them; none at the end."""
    some: list[DumpPart] = []
    rows = 0
    while rows < _AHEAD and (part := next(parts, None)) is not None:
        some.append(part)
        rows += len(part.runs) if isinstance(part, Mappings) else 1
    return _expand_together(some, nr_data_blocks)


def _expand_together(parts: list[DumpPart], nr_data_blocks: int) -> list[_Part]:
    """The same with all mappings taken apart at once, which costs less than part by part; as they are when they are
    too many, or when something is wrong with one: that is then found where its turn comes."""
    mappings = [part for part in parts if isinstance(part, Mappings)]
    if not mappings:
        return [*parts]
    runs = concatenate_runs([part.runs for part in mappings])
    starts = np.cumsum([0, *(len(part.runs) for part in mappings)])
    if np.minimum(runs.length, np.uint64(_TOGETHER + 1)).sum() > _TOGETHER:
        return [*parts]
    if len(_find_beyond(runs, nr_data_blocks)) or len(_find_disorder(runs, starts[:-1])):
        return [*parts]
    keys, values = _expand(runs)
    cuts = np.concatenate((_ZERO, np.cumsum(runs.length)))[starts].tolist()
    lines = [int(part.lines[0]) for part in mappings]
    entries = (
        _Entries(keys[cut:end], values[cut:end], line) for cut, end, line in zip(cuts, cuts[1:], lines, strict=False)
    )
    return [next(entries) if isinstance(part, Mappings) else part for part in parts]


def _find_beyond(runs: Runs, nr_data_blocks: int) -> NDArray[np.int64]:
    """Which runs have data blocks that the pool does not have."""
    return np.flatnonzero(runs.data + runs.length > np.uint64(nr_data_blocks))


def _find_disorder(runs: Runs, starts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Which runs go beyond the largest block, or do not ascend after the one before; `starts` have none before."""
    lasts = runs.virtual + (runs.length - np.uint64(1))
    after = np.ones(len(runs), dtype=np.bool_)
    after[starts] = False
    return np.flatnonzero((lasts < runs.virtual) | (after & (runs.virtual <= np.roll(lasts, 1))))


def _override(pool: Pool, overrides: Overrides) -> Pool:
    def choose(told: int, instead: int | None) -> int:
        return told if instead is None else instead

    return Pool(
        time=pool.time,
        transaction=choose(pool.transaction, overrides.transaction_id),
        flags=pool.flags,
        version=pool.version,
        data_block_size=choose(pool.data_block_size, overrides.data_block_size),
        nr_data_blocks=choose(pool.nr_data_blocks, overrides.nr_data_blocks),
    )


class _Writing:
    """Metadata in the making."""

    def __init__(self, disk: BlockDisk, pool: Pool) -> None:
        self._disk = disk
        self._pool = pool
        _check_pool(self._make_superblock())
        if not count_blocks(disk):
            raise ExhaustedError(f"{disk.size} bytes hold no metadata, which takes {BLOCK} and more")
        self._allocator = Allocator(count_blocks(disk))
        self._data = ReferenceCounts(pool.nr_data_blocks)
        self._referring: list[NDArray[np.uint64]] = []
        self._referred = 0
        """Values in `_referring`, which are not counted yet."""
        self._definitions: dict[str, Leaves] = {}
        self._devices: dict[int, tuple[DeviceDetails, int]] = {}
        self._leaves: LeafWriter | None = None
        self._tree: TreeWriter | None = None
        self._name = ""
        self._details: DeviceDetails | None = None
        self._mapped = 0
        write_superblock_block(disk, 0, bytes(BLOCK))

    def take(self, part: _Part) -> None:
        """Write one part after the pool."""
        match part:
            case _Entries():
                self._add_entries(part)
            case Mappings():
                self._add_mappings(part)
            case Ref():
                self._add_shared(part)
            case DefBegin():
                if part.name in self._definitions:
                    refuse(part.line, f"there are two definitions {part.name[:60]!r}")
                self._name = part.name
                self._leaves = LeafWriter(self._disk, self._allocator, MAPPINGS.value, refer=self._refer)
            case DefEnd():
                assert self._leaves is not None
                self._definitions[self._name] = self._leaves.finish()
                self._leaves = None
            case DeviceBegin():
                if part.details.dev_id in self._devices:
                    refuse(part.line, f"there are two devices {part.details.dev_id}")
                self._details = part.details
                self._mapped = 0
                self._tree = TreeWriter(self._disk, self._allocator, MAPPINGS.value, refer=self._refer)
            case DeviceEnd():
                self._end_device()
            case Pool():
                raise DamagedError("there are two superblocks in it")

    def finish(self) -> Superblock:
        """Write the rest, the superblock last."""
        self._forget_untaken()
        top, details = (TreeWriter(self._disk, self._allocator, kind.value) for kind in (TOP, DETAILS))
        ids = np.array(sorted(self._devices), dtype=np.uint64)
        devices = [self._devices[dev_id] for dev_id in ids.tolist()]
        top.append(ids, np.array([root for _, root in devices], dtype=np.uint64))
        details.append(ids, np.array([_pack_details(each) for each, _ in devices], dtype=DETAILS.value))
        roots = top.finish(), details.finish()
        data_map = write_data_space_map(self._disk, self._allocator, self._data)
        metadata_map = write_metadata_space_map(self._disk, self._allocator)
        superblock = self._make_superblock(roots, data_map, metadata_map)
        write_superblock(self._disk, superblock)
        return superblock

    def _add_mappings(self, part: Mappings) -> None:
        """:raises DamagedError: a data block that the pool does not have, or runs that do not ascend."""
        runs, limit = part.runs, self._pool.nr_data_blocks
        for wrong in _find_beyond(runs, limit).tolist():
            last = int(runs.data[wrong] + runs.length[wrong]) - 1
            refuse(int(part.lines[wrong]), f"data block {last}, expected below {limit}, the nr_data_blocks")
        for wrong in _find_disorder(runs, np.zeros(1, dtype=np.int64)).tolist():
            refuse(int(part.lines[wrong]), f"virtual block {runs.virtual[wrong]} does not ascend, or overlaps")
        for keys, values in expand_runs(runs):
            self._add_entries(_Entries(keys, values, int(part.lines[0])))

    def _add_entries(self, part: _Entries) -> None:
        writer = self._leaves or self._tree
        assert writer is not None
        try:
            writer.append(part.keys, part.values)
        except MismatchError:
            refuse(part.line, f"virtual block {part.keys[0]} does not ascend, or overlaps")
        if self._leaves is None:
            self._mapped += len(part.keys)

    def _add_shared(self, part: Ref) -> None:
        assert self._tree is not None
        leaves = self._definitions.get(part.name)
        if leaves is None:
            refuse(part.line, f"there is no definition {part.name[:60]!r} before this")
        try:
            self._tree.append_leaves(leaves)
        except MismatchError:
            refuse(part.line, f"the blocks of definition {part.name[:60]!r} are not above those before it")
        self._mapped += int(leaves.counts.sum())

    def _end_device(self) -> None:
        assert self._tree is not None
        assert self._details is not None
        told = self._details
        # What was counted is written: a dump may have been cut down by hand, or be without mappings.
        details = DeviceDetails(
            told.dev_id, self._mapped, told.transaction_id, told.creation_time, told.snapshotted_time
        )
        self._devices[told.dev_id] = details, self._tree.finish()
        self._tree = None

    def _forget_untaken(self) -> None:
        """Count back what those leaves of definitions refer to that no device has taken in."""
        self._count()
        blocks = np.concatenate([_ZERO[:0], *(leaves.blocks for leaves in self._definitions.values())])
        untaken = blocks[self._allocator.counts.get_many(blocks) == 0]
        for begin in range(0, len(untaken), BATCH):
            nodes = view_nodes(self._disk.read_blocks(untaken[begin : begin + BATCH]), MAPPINGS, leaf=True)
            self._data.remove(get_data_blocks(flatten(nodes)[1]))

    def _refer(self, values: NDArray[np.uint64]) -> None:
        """Count the data blocks of these, some time before the end: many at once cost less."""
        self._referring.append(values)
        self._referred += len(values)
        if self._referred >= _AT_ONCE:
            self._count()

    def _count(self) -> None:
        """Count the data blocks of all that came so far."""
        self._data.add(get_data_blocks(np.concatenate([_ZERO[:0], *self._referring])))
        self._referring, self._referred = [], 0

    def _make_superblock(
        self,
        roots: tuple[int, int] = (0, 0),
        data_map: SpaceMapRoot = _NO_MAP,
        metadata_map: SpaceMapRoot = _NO_MAP,
    ) -> Superblock:
        pool = self._pool
        return Superblock(
            location=0,
            flags=pool.flags,
            uuid=bytes(16),
            version=pool.version,
            time=pool.time,
            transaction_id=pool.transaction,
            held_root=0,
            data_space_map=data_map,
            metadata_space_map=metadata_map,
            data_mapping_root=roots[0],
            device_details_root=roots[1],
            data_block_size=pool.data_block_size,
            metadata_block_size=layout.METADATA_BLOCK_SECTORS,
            metadata_nr_blocks=metadata_map.nr_blocks,
            compat_flags=0,
            compat_ro_flags=0,
            incompat_flags=0,
        )


def _check_pool(superblock: Superblock) -> None:
    """:raises DamagedError: no pool can have such a superblock."""
    try:
        parse_superblock(pack_superblock(superblock))
    except DamagedError as error:
        what, found, due = (error.facts[name] for name in ("what", "found", "expected"))
        message = f"<superblock>: {what} is {found}, expected {due}"
        raise DamagedError(message, hint=error.hint, **error.facts) from error
    most = (1 << layout.TIME_BITS) - 1
    if superblock.time > most:
        raise DamagedError(f"<superblock>: time is {superblock.time}, expected at most {most}, as a mapping has")


def _pack_details(details: DeviceDetails) -> tuple[int, int, int, int]:
    return details.mapped_blocks, details.transaction_id, details.creation_time, details.snapshotted_time


def expand_runs(runs: Runs) -> Iterator[tuple[NDArray[np.uint64], NDArray[np.uint64]]]:
    """Keys and values of the mappings, at most twice _AT_ONCE at a time."""
    first = 0
    ends = np.cumsum(np.minimum(runs.length, np.uint64(_AT_ONCE + 1)))
    while first < len(runs):
        before = int(ends[first - 1]) if first else 0
        last = max(int(np.searchsorted(ends, before + _AT_ONCE, side="right")), first + 1)
        part = runs[first:last]
        first = last
        if int(part.length[0]) > _AT_ONCE:
            yield from _expand_long(part)
        else:
            yield _expand(part)


def _expand(runs: Runs) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    values = runs.data << np.uint64(layout.TIME_BITS) | runs.time.astype(np.uint64)
    if int(runs.length.max()) == 1:
        return runs.virtual, values
    lengths = runs.length.astype(np.int64)
    starts = np.cumsum(lengths) - lengths
    steps = (np.arange(int(lengths.sum())) - np.repeat(starts, lengths)).astype(np.uint64)
    keys = np.repeat(runs.virtual, lengths) + steps
    return keys, np.repeat(values, lengths) + (steps << np.uint64(layout.TIME_BITS))


def _expand_long(run: Runs) -> Iterator[tuple[NDArray[np.uint64], NDArray[np.uint64]]]:
    """One run that is too long to be taken apart at once."""
    length = int(run.length[0])
    for begin in range(0, length, _AT_ONCE):
        steps = np.arange(begin, min(begin + _AT_ONCE, length), dtype=np.uint64)
        value = run.data << np.uint64(layout.TIME_BITS) | run.time.astype(np.uint64)
        yield run.virtual + steps, value + (steps << np.uint64(layout.TIME_BITS))
