"""The whole of a scrub: find, write down, repair what is wished, and look again."""

from __future__ import annotations

from dataclasses import dataclass, replace

from drystone.backup.collecting.collect import begin
from drystone.backup.collecting.repair import Mended, mend
from drystone.backup.collecting.scrub import Findings, find_damage, missing_packs, name_hits, note_damage
from drystone.backup.pipeline import Progress, silent
from drystone.backup.reading.locate import Locator
from drystone.backup.source import Source
from drystone.backup.state.document import State
from drystone.backup.state.generations import read_state
from drystone.backup.tuning import Tuning
from drystone.backup.vault import Vault
from drystone.base.clock import Clock

_ROUNDS = 3


@dataclass(frozen=True, slots=True)
class Scrubbed:
    """What was found, what was repaired (None: nothing was tried), and what is still wrong."""

    found: Findings
    chunks: int
    segments: int
    left: Findings

    def to_document(self) -> dict[str, object]:
        """As JSON."""
        return {
            "found": self.found.to_document(),
            "repaired": {"chunks": self.chunks, "segments": self.segments},
            "left": self.left.to_document(),
        }


def scrub(
    vault: Vault,
    *,
    tuning: Tuning,
    clock: Clock,
    percent: float = 100,
    repair: bool = False,
    source: Source | None = None,
    progress: Progress = silent,
) -> Scrubbed:
    """Read what is stored and name what is damaged.

    :param percent: how much of the packs is read: see rotation.py. :param progress: bytes read.
    :param repair: mend what can be had elsewhere in the store. :param source: an entered source that may have the bytes
        that are lost; implies `repair`.

    :raises BusyError: somebody took it for dead while it ran: run it again.
    """
    vault.check_writable()
    with begin(vault, tuning.workers, operation="read") as job:
        found = find_damage(vault, job.own.state, percent=percent, tuning=tuning, clock=clock, progress=progress)
        if not found.damaged and not found.unneeded:
            return Scrubbed(found, 0, 0, found)
        state = note_damage(job, found)
        left, chunks, segments = found, 0, 0
        for _ in range(_ROUNDS if repair or source is not None else 0):
            mended = mend(job, state, left, source, tuning)
            chunks, segments = chunks + mended.chunks, segments + mended.segments
            state = read_state(vault)
            left = _look_again(vault, state, left, mended)
            # A map segment that is whole again may lead to chunks that are not.
            if not mended.segments:
                break
        return Scrubbed(found, chunks, segments, left)


def _look_again(vault: Vault, state: State, before: Findings, mended: Mended) -> Findings:
    """What is still wrong of what was, without reading all packs again."""
    bad = {pack: message for pack, message in before.checked.bad_packs.items() if pack not in mended.whole_packs}
    left = Findings(replace(before.checked, bad_packs=bad), manifests=before.manifests, named=before.named)
    left.missing = missing_packs(state, before.missing)
    name_hits(Locator(vault, state), left)
    return left
