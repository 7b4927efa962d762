"""Walking trees that may be damaged: what is sound is given out, what is not is listed, and references are counted.

    survey = Survey(reader)
    for keys, values in survey.visit_tree(KIND, root):      # counts references; every block is walked once
        ...
    for keys, values in survey.iter_entries(KIND, root):    # all entries in order of keys; counts nothing
        ...
    survey.damages, survey.counts, survey.count_entries(root), survey.is_whole(root)

References are counted as the kernel counts them: one for each pointer ("edge") to a block. A block that several
pointers lead to (snapshots share subtrees) is one reference for each, and what is in it is counted once, so that its
children and its values get one reference from it however often it is shared.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from drystone.formats.pdata.blocks import BlockReader, count_blocks
from drystone.formats.pdata.btree import LARGEST_KEY, TreeKind
from drystone.formats.pdata.counts import ReferenceCounts
from drystone.formats.pdata.damage import Damage
from drystone.formats.pdata.visits import Visits
from drystone.formats.pdata.walk import Entries, TreeWalk, make_owners

BATCH = 512
"""Blocks that a survey reads at once (2 MiB), and as many again are read ahead: faster than half of it here."""

MOST_DAMAGES = 100_000
"""Damages that a survey keeps; of more it knows the number only."""


class Survey:
    """A walk over the trees of one device. Memory: 28 bytes for each block of the trees that it visits, one for
    each block counted, and 24 for each pointer of the walk that is on.

    :ivar damages: what was found so far, in the order found; at most MOST_DAMAGES of them.
    :ivar nr_damages: how many there were.
    :ivar remarks: what is odd and loses nothing: nodes that are less than a third full. At most MOST_DAMAGES.
    :ivar counts: references to each metadata block that visit_* and count_block came across.
    :ivar limit: blocks there are.
    :ivar visits: what is remembered of each block.

    :param strict: the first damage is raised as DamagedError instead of listed.
    :param batch: blocks read at once.
    """

    def __init__(self, reader: BlockReader, *, strict: bool = False, batch: int = BATCH) -> None:
        self.reader = reader
        self.strict = strict
        self.batch = batch
        self.limit = count_blocks(reader)
        self.damages: list[Damage] = []
        self.nr_damages = 0
        self.remarks: list[Damage] = []
        self.counts = ReferenceCounts(self.limit)
        self.visits = Visits(self.limit)

    def report(self, damage: Damage) -> None:
        """Add one to the list. :raises DamagedError: when strict."""
        if self.strict:
            raise damage.to_error()
        self.nr_damages += 1
        if len(self.damages) < MOST_DAMAGES:
            self.damages.append(damage)

    def remark(self, damage: Damage) -> None:
        """Note what is odd and loses nothing."""
        if len(self.remarks) < MOST_DAMAGES:
            self.remarks.append(damage)

    def iter_entries(
        self, kind: TreeKind, root: int, *, owner: int | None = None, low: int = 0, high: int = LARGEST_KEY
    ) -> Iterator[Entries]:
        """All sound entries with keys of `low` to `high`, in ascending order; shared or not, visited before or not.

        Counts no references. Each damaged node is listed, with the range of keys that it loses.
        """
        walk = TreeWalk(self.reader, kind, self.report, self.remark, self.batch)
        return walk.iter_entries(root, owner, low, high)

    def visit_tree(self, kind: TreeKind, root: int, *, owner: int | None = None) -> Iterator[Entries]:
        """visit_trees of one tree: entries come in ascending order."""
        return self.visit_trees(kind, [root], owners=None if owner is None else [owner])

    def visit_trees(
        self, kind: TreeKind, roots: Iterable[int], *, owners: Iterable[int] | None = None, quiet: bool = False
    ) -> Iterator[Entries]:
        """The entries of all leaves of these trees that were not visited before, and references counted on the way.

        One reference for each edge, the ones to the roots among them. Entries come a leaf at a time or many leaves at
        once, in no order that holds over several trees. The walk must be run to its end before count_entries is asked.
        Damage in a block that several trees share is listed once, for the first of them.

        :param owners: for damages: which tree it is, one number a root. :param quiet: list no damages.
        """
        numbers = np.fromiter(roots, dtype=np.uint64)
        whose = make_owners(None).repeat(len(numbers)) if owners is None else np.fromiter(owners, dtype=np.uint64)
        report, remark = (_ignore, _ignore) if quiet else (self.report, self.remark)
        walk = TreeWalk(self.reader, kind, report, remark, self.batch)
        return walk.visit_trees(numbers, whose, self.visits, self.counts)

    def visit_blocks(self, numbers: NDArray[np.uint64], name: str) -> NDArray[np.bool_]:
        """Count one reference to each of these blocks, which are no tree nodes (array blocks, bitmaps, ...), and say
        which ones are seen for the first time. `name` tells their kind: a block of two kinds is a damage.

        The caller has checked that each is below `limit`.
        """
        self.counts.add(numbers)
        visits = self.visits
        kind = visits.number_kind(name)
        new = visits.find_new(numbers)
        other = ~new & (visits.kinds[numbers] != kind) & (visits.kinds[numbers] != 0)
        for number in numbers[other].tolist():
            self.report(Damage(number, name, "kind of block", name, visits.names[visits.kinds[number] - 1]))
        visits.mark(numbers[new], kind, 0)
        return new

    def count_block(self, number: int, name: str) -> bool:
        """visit_blocks of one block: a superblock, an index block. Whether it is seen for the first time."""
        return bool(self.visit_blocks(np.array([number], dtype=np.uint64), name)[0])

    def count_entries(self, root: int) -> int:
        """Sound entries in the whole tree below `root`, which was visited; shared subtrees count in each tree."""
        return int(self.visits.entries[root]) if 0 < root < self.limit else 0

    def is_whole(self, root: int) -> bool:
        """Whether the tree at `root`, which was visited, has no damage, also none in shared subtrees."""
        return 0 < root < self.limit and not self.visits.torn[root]


def _ignore(_: Damage) -> None:
    """Where damages go that are reported by another walk."""
