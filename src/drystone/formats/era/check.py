"""Checking era metadata: every node, every bit, every reference count.

    report = check_metadata(reader)
    report.errors, report.remarks, report.is_sound()

All trees are walked, past damage; the references to each metadata block are counted on the way, and held against the
space map at the end: blocks that nothing refers to (leaked), blocks in use that are marked free, counts that are off.
The current writeset counts, that of a metadata snapshot does not: the kernel does not count it either.

What is checked is here, once. What reads the trees comes in two: SoundTrees, without numpy, knows sound trees only, and
gives up at the first thing that is odd; SurveyedTrees goes on past damage and says what is wrong. Most metadata is
sound, and of most checks the import of numpy would be the longer half. All that is ever reported comes of the second.

Errors lose data, or would. Remarks lose nothing but space: leaked blocks, nodes less than a third full, the space map's
own sums. Notes are sums that only hide room; metadata with notes alone is sound. Memory: some 30 bytes for each
metadata block, one where all is sound.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from drystone.base.errors import DamagedError
from drystone.formats.era import layout
from drystone.formats.era.sound_trees import SoundTrees, Unusual
from drystone.formats.era.superblock import Superblock, read_held_superblock, read_superblock
from drystone.formats.era.trees import Trees
from drystone.formats.era.writesets import TREE_NAME, Writeset, get_current
from drystone.formats.pdata.blocks import BlockReader
from drystone.formats.pdata.damage import Damage
from drystone.formats.pdata.spacemap import METADATA_MAP


@dataclass(frozen=True, slots=True)
class Report:
    """What a check found.

    :ivar superblock: the one that was checked; None when it is damaged.
    :ivar errors: what is wrong, in the order found. :ivar remarks: what is odd and loses no data.
    :ivar notes: sums of the space map that hide room which is there, see Damage.hides_room.
    """

    superblock: Superblock | None
    errors: tuple[Damage, ...]
    remarks: tuple[Damage, ...] = ()
    notes: tuple[Damage, ...] = ()

    def is_sound(self, *, ignore_remarks: bool = False) -> bool:
        """Whether nothing is wrong, notes aside; remarks count, unless told otherwise."""
        return not self.errors and (ignore_remarks or not self.remarks)

    def has_extra_pointers(self) -> bool:
        """Whether the trees refer to a block more often than the space map counts: one of the pointers may be wrong."""
        return any(each.tree == METADATA_MAP and not each.loses for each in self.errors)

    def refuse(self, what: str) -> None:
        """Nothing, when it is sound.

        :raises DamagedError: it is not; the message names the first thing wrong in `what`, and how many there are.
        """
        found = [*self.errors, *self.remarks]
        if found:
            more = f", and {len(found) - 1} more" if len(found) > 1 else ""
            raise DamagedError(f"{what}: {found[0].describe()}{more}", block=found[0].block)

    def to_document(self) -> dict[str, Any]:
        """As a JSON object."""
        superblock = self.superblock
        return {
            "sound": self.is_sound(),
            "current_era": superblock.current_era if superblock else None,
            "nr_blocks": superblock.nr_blocks if superblock else None,
            "errors": [_describe(each) for each in self.errors],
            "remarks": [_describe(each) for each in self.remarks],
            "notes": [_describe(each) for each in self.notes],
        }


def check_superblock(reader: BlockReader, *, held: bool = False) -> Report:
    """The superblock alone; with `held` also that of the metadata snapshot.

    :raises NotFoundError: no snapshot is held.
    """
    try:
        return _Check(SoundTrees(reader)).run_superblock(held=held)
    except Unusual:
        return _Check(_survey(reader)).run_superblock(held=held)


def check_metadata(reader: BlockReader, *, held: bool = False) -> Report:
    """Everything: of live metadata that nobody writes, a snapshot that it holds included.

    :param held: only what the metadata snapshot shows, which may be read while the kernel writes. Its references are
        not counted, as the space map changes all the time.
    :raises NotFoundError: no snapshot is held.
    """
    try:
        return _Check(SoundTrees(reader)).run(held=held)
    except (Unusual, DamagedError):
        return survey_metadata(reader, held=held)


def survey_metadata(reader: BlockReader, *, held: bool = False) -> Report:
    """check_metadata by SurveyedTrees at once, whatever state it is in: the answer is the same."""
    return _Check(_survey(reader)).run(held=held)


def _survey(reader: BlockReader) -> Trees:
    from drystone.formats.era.surveyed_trees import SurveyedTrees

    return SurveyedTrees(reader)


class _Check:
    """One check under way, whatever reads the trees."""

    def __init__(self, trees: Trees) -> None:
        self.trees = trees

    def run_superblock(self, *, held: bool) -> Report:
        """See check_superblock."""
        superblock = self._read_superblock(0)
        if superblock is not None and held:
            superblock = self._read_held(superblock)
        return self._report(superblock)

    def run(self, *, held: bool) -> Report:
        """See check_metadata."""
        superblock = self._read_superblock(0)
        if superblock is None:
            return self._report(None)
        if held:
            superblock = self._read_held(superblock)
            if superblock is not None:
                self._survey_state(superblock)
            return self._report(superblock)
        self.trees.count_block(0, "superblock")
        self._survey_state(superblock)
        current = get_current(superblock)
        if current is not None:
            self.trees.count_writesets([current])
        if superblock.metadata_snap:
            self._survey_held(superblock)
        self.trees.check_space_map(superblock.metadata_space_map)
        return self._report(superblock)

    def _read_superblock(self, location: int) -> Superblock | None:
        try:
            superblock = read_superblock(self.trees.reader, location=location)
        except DamagedError as error:
            self.trees.report(make_superblock_damage(error, location))
            return None
        if superblock.data_block_size % layout.DATA_BLOCK_UNIT:
            due = f"a multiple of {layout.DATA_BLOCK_UNIT} sectors"
            self._err(location, "superblock", "data block size", due, superblock.data_block_size)
        return superblock

    def _read_held(self, live: Superblock) -> Superblock | None:
        if not live.metadata_snap:
            # Not a damage: the caller asked for what is not there. The error says so.
            read_held_superblock(self.trees.reader)
        return self._read_superblock(live.metadata_snap)

    def _survey_state(self, superblock: Superblock) -> None:
        """The writeset tree, its bitsets, and the era array."""
        latest = superblock.current_era
        if superblock.live and superblock.current_root:
            latest -= 1
        writesets: list[Writeset] = []
        for some in self.trees.iter_writesets(superblock.writeset_tree_root):
            if len(writesets) + len(some) > self.trees.limit:
                due, found = f"at most {self.trees.limit}", len(writesets) + len(some)
                self._err(superblock.writeset_tree_root, TREE_NAME, "number of writesets", due, found)
                break
            for writeset in some:
                if writeset.era > latest:
                    self._err(superblock.writeset_tree_root, TREE_NAME, "era", f"at most {latest}", writeset.era)
            writesets += some
        self.trees.count_writesets(writesets)
        for late in self.trees.iter_late_eras(superblock):
            what = f"era of data block {late.block}" + (f" and {late.others} more" if late.others else "")
            due = f"at most {superblock.current_era}"
            self._err(superblock.era_array_root, "era array", what, due, late.era)

    def _survey_held(self, live: Superblock) -> None:
        """The metadata snapshot's superblock and all that it refers to."""
        if live.metadata_snap >= self.trees.limit:
            due = f"1 to {self.trees.limit - 1}"
            self._err(0, "superblock", "location of the metadata snapshot", due, live.metadata_snap)
            return
        self.trees.count_block(live.metadata_snap, "superblock of the metadata snapshot")
        held = self._read_superblock(live.metadata_snap)
        if held is not None:
            self._survey_state(held)

    def _err(self, block: int, tree: str, what: str, expected: int | str, found: int | str) -> None:
        self.trees.report(Damage(block, tree, what, expected, found))

    def _report(self, superblock: Superblock | None) -> Report:
        found = (tuple(each) for each in (self.trees.damages, self.trees.remarks, self.trees.notes))
        return Report(superblock, *found)


def make_superblock_damage(error: DamagedError, location: int) -> Damage:
    """What is wrong with the superblock at `location`, out of the error that refused it."""
    facts: dict[str, Any] = error.facts
    what, due, found = facts.get("what", "superblock"), facts.get("expected", "sound"), facts.get("found", "damaged")
    block = facts.get("block", location)
    return Damage(block if isinstance(block, int) else location, "superblock", str(what), due, found)


def _describe(damage: Damage) -> dict[str, Any]:
    """As a JSON object."""
    document: dict[str, Any] = {
        "block": damage.block,
        "tree": damage.tree,
        "what": damage.what,
        "expected": damage.expected,
        "found": damage.found,
        "message": damage.describe(),
    }
    if damage.loses:
        document["loses"] = [damage.low, damage.high]
    return document
