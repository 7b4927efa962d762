"""Scrubbing: reading what is stored, all of it or a part by turns, and naming what is damaged and what that hits.

What is found wrong is written into the state, so that later backups store such chunks again. Nothing is repaired here:
see repair.py.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec
import numpy as np

from drystone.backup.collecting.collect import Job
from drystone.backup.collecting.hits import Hits, Loss
from drystone.backup.collecting.pack_check import BadRecord, Checked, check_packs, print_records
from drystone.backup.collecting.rotation import choose_packs
from drystone.backup.format.manifest import Manifest
from drystone.backup.objects import pack_sizes
from drystone.backup.pipeline import Progress
from drystone.backup.reading.entries import read_entry
from drystone.backup.reading.locate import Locator, reach, read_index
from drystone.backup.state.document import Entry, State
from drystone.backup.state.generations import change_state, read_state
from drystone.backup.tuning import Tuning
from drystone.backup.vault import Vault
from drystone.base.clock import Clock
from drystone.base.errors import DamagedError, NotFoundError


@dataclass(slots=True)
class Findings:
    """What a scrub found.

    :ivar checked: what was read. :ivar manifests: of backups whose manifest is missing or wrong, by (volume, backup).
    :ivar indexes: names of index objects that are missing, wrong, or tell of records that are not there.
    :ivar named: packs that manifests name. :ivar missing: packs that are needed and not there.
    :ivar losses: what the damage hits. :ivar unneeded: wrong records that no backup needs where they are.
    """

    checked: Checked
    manifests: dict[tuple[str, str], str] = field(default_factory=dict)
    indexes: dict[str, str] = field(default_factory=dict)
    named: set[bytes] = field(default_factory=set)
    missing: set[bytes] = field(default_factory=set)
    losses: list[Loss] = field(default_factory=list)
    unneeded: list[BadRecord] = field(default_factory=list)

    @property
    def bad_packs(self) -> set[bytes]:
        """Packs that are missing, or wrong as a whole."""
        return self.missing | self.checked.bad_packs.keys()

    @property
    def damaged(self) -> bool:
        """Whether something is wrong that a backup needs, or that should be repaired."""
        return bool(self.manifests or self.indexes or self.bad_packs or self.losses)

    def to_document(self) -> dict[str, object]:
        """As JSON."""
        return {
            "packs": self.checked.packs,
            "records": self.checked.records,
            "bytes": self.checked.size,
            "damaged": self.damaged,
            "lost": [each.to_document() for each in self.losses if not each.mended],
            "mended": [each.to_document() for each in self.losses if each.mended],
            "manifests": [
                {"volume": volume, "backup": backup, "message": message}
                for (volume, backup), message in self.manifests.items()
            ],
            "missing_packs": sorted(pack.hex() for pack in self.missing),
            "damaged_packs": {pack.hex(): message for pack, message in self.checked.bad_packs.items()},
            "damaged_indexes": self.indexes,
            "unneeded": [
                {"pack": each.place.pack.hex(), "offset": each.place.offset, "message": each.message}
                for each in self.unneeded
            ],
        }


def find_damage(
    vault: Vault, state: State, *, percent: float, tuning: Tuning, clock: Clock, progress: Progress
) -> Findings:
    """Look at packs, manifests and indexes. `percent` of the packs are read; that all are there is seen every time."""
    locator = Locator(vault, state)
    sizes = pack_sizes(vault)
    findings = Findings(Checked())
    for entry in state.backups:
        manifest = _read(locator, entry, findings)
        if manifest is not None:
            findings.named |= manifest.pack_ids()
    wanted = reach(state, findings.named)
    findings.missing = missing_packs(state, wanted - sizes.keys())
    chosen = choose_packs((wanted & sizes.keys()) - state.going(), percent, clock.now())
    findings.checked = check_packs(vault, {pack: sizes[pack] for pack in chosen}, tuning=tuning, progress=progress)
    _check_indexes(vault, state, findings, sizes)
    name_hits(locator, findings)
    _leave_out_deleted(vault, findings)
    return findings


def _leave_out_deleted(vault: Vault, findings: Findings) -> None:
    """Manifests and indexes are not kept for whoever reads: those that went meanwhile are not damaged."""
    if findings.manifests or findings.indexes:
        state = read_state(vault)
        for name in list(findings.manifests):
            if state.find(*name) is None:
                del findings.manifests[name]
        for index in findings.indexes.keys() - set(state.indexes):
            del findings.indexes[index]


def missing_packs(state: State, absent: set[bytes]) -> set[bytes]:
    """Those of the packs that are needed and not there: what was moved need not be, unless not all of it was."""
    return {pack for pack in absent if pack.hex() not in state.moved or pack.hex() in state.damaged}


def _read(locator: Locator, entry: Entry, findings: Findings) -> Manifest | None:
    """A manifest; None, and noted, when it is damaged."""
    try:
        return read_entry(locator, entry.volume, entry.backup)
    except (DamagedError, NotFoundError) as error:
        findings.manifests[entry.volume, entry.backup] = error.message
        return None


def name_hits(locator: Locator, findings: Findings) -> None:
    """Find what the damage hits. Costs nothing when there is none; else the maps of all backups are read."""
    bad = findings.checked.bad_records
    findings.losses, findings.unneeded = [], []
    if not bad and not findings.bad_packs:
        return
    hits = Hits(locator, (each.digest for each in bad), findings.bad_packs)
    for entry in locator.state.backups:
        if (entry.volume, entry.backup) not in findings.manifests:
            manifest = _read(locator, entry, findings)
            if manifest is not None:
                hits.add(manifest)
    findings.losses = list(hits.losses.values())
    lost = {loss.digest for loss in findings.losses}
    findings.unneeded = [each for each in bad if each.digest not in lost]


def _check_indexes(vault: Vault, state: State, findings: Findings, sizes: dict[bytes, int]) -> None:
    """Read the indexes; what they tell of packs that were read must be so."""
    for name in state.indexes:
        index = read_index(vault, name)
        if index is None:
            findings.indexes[name] = "it is missing or damaged"
            continue
        prints = print_records(index.digests, index.offset, index.length)
        for number, pack in enumerate(index.packs):
            if pack not in sizes and pack.hex() not in state.refused():
                findings.indexes[name] = f"it tells of pack {pack.hex()}, which is not there"
            known = findings.checked.prints.get(pack)
            if known is not None and not np.isin(prints[index.pack == number], known).all():
                findings.indexes[name] = f"it tells of records of pack {pack.hex()} that are not there"


def note_damage(job: Job, findings: Findings) -> State:
    """Write into the state what is wrong, so that nobody refers to it again; the state that has it.

    :raises BusyError: somebody took this operation for dead, and may have removed what seemed to be missing.
    """
    found: dict[str, set[int]] = {}
    places = [each.place for each in findings.checked.bad_records]
    places += [place for loss in findings.losses if not loss.whole for place in loss.places]
    for place in places:
        found.setdefault(place.pack.hex(), set()).add(place.offset)

    def compute(state: State) -> State:
        damaged = {pack: set(offsets) for pack, offsets in state.damaged.items()}
        for pack, offsets in found.items():
            damaged.setdefault(pack, set()).update(offsets)
        if all(len(damaged[pack]) == len(state.damaged.get(pack, ())) for pack in damaged):
            return state
        job.check_announced()
        return msgspec.structs.replace(
            state, damaged={pack: tuple(sorted(offsets)) for pack, offsets in sorted(damaged.items())}
        )

    return change_state(job.vault, compute)


def raise_findings(findings: Findings) -> None:
    """:raises DamagedError: something is wrong; the facts tell how many places, and which backups are hit."""
    if not findings.damaged:
        return
    lost = [loss for loss in findings.losses if not loss.mended]
    backups = {(hit.volume, hit.backup) for loss in lost for hit in loss.hits} | findings.manifests.keys()
    places = len(findings.losses) + len(findings.bad_packs) + len(findings.indexes) + len(findings.manifests)
    what = f"{places} places are damaged" if places > 1 else "one place is damaged"
    whole = "one backup" if len(backups) == 1 else f"{len(backups)} backups"
    raise DamagedError(
        f"{what}, and {whole} cannot be read whole" if backups else f"{what}; every backup can be read all the same",
        hint="`drystone backup scrub --repair` mends what can be had elsewhere, --repair-from SOURCE what a source has",
        places=places,
        backups=[{"volume": volume, "backup": backup} for volume, backup in sorted(backups)],
    )
