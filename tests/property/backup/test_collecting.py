"""Random lives of a repository: backups made, deleted, pruned, damaged and repaired, against what was backed up."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drystone.backup.collecting.choice import Limits
from drystone.backup.collecting.delete import delete_backups
from drystone.backup.collecting.prune import Wish, prune
from drystone.backup.collecting.retention import Policy
from drystone.backup.collecting.scrubbing import scrub
from drystone.backup.format.keys import PACKS, pack_key
from drystone.backup.state.operations import announced
from drystone.testing.backup_world import CHUNK, OTHER, TUNING, VOLUME, BackupWorld, noise, with_chunk
from drystone.testing.repositories import collect_garbage
from drystone.testing.sources import MemorySource

CHUNKS = 9


@dataclass(frozen=True)
class Step:
    what: str
    volume: str
    chunk: int
    seed: int


steps = st.lists(
    st.builds(
        Step,
        st.sampled_from(
            ["change", "change", "zero", "full", "delete", "prune", "compact", "merge", "reader", "damage", "collect"]
        ),
        st.sampled_from([VOLUME, OTHER]),
        st.integers(0, CHUNKS - 1),
        st.integers(0, 5),
    ),
    min_size=3,
    max_size=25,
)


class Life:
    """A world and the images of its volumes as they are now."""

    def __init__(self, *, encrypted: bool) -> None:
        self.world = BackupWorld(encrypted=encrypted)
        self.images = {VOLUME: noise(1, CHUNKS), OTHER: noise(1, CHUNKS)}

    def backups(self, volume: str) -> list[str]:
        return [each.backup for each in self.world.state().backups if each.volume == volume]

    def back_up(self, step: Step, data: bytes, *, full: bool = False) -> None:
        image = with_chunk(self.images[step.volume], step.chunk, data)
        self.images[step.volume] = image
        known = self.backups(step.volume)
        if full or not known:
            self.world.back_up(image, volume=step.volume)
            return
        base = self.world.state().find(step.volume, known[-1])
        assert base is not None
        before = self.world.images[step.volume, base.backup]
        changed = [
            (number, 1)
            for number in range(CHUNKS)
            if before[number * CHUNK : (number + 1) * CHUNK] != image[number * CHUNK : (number + 1) * CHUNK]
        ]
        self.world.back_up(image, base.head(), changed, volume=step.volume)

    def prune(self, limits: Limits, policy: Policy | None = None) -> None:
        prune(self.world.vault, Wish(policy or Policy(), limits), tuning=TUNING)

    def damage(self, step: Step) -> None:
        """A byte of a pack; repaired from the images of the backups."""
        packs = sorted(self.world.packs().items())
        if not packs:
            return
        pack, size = packs[step.chunk % len(packs)]
        self.world.damage(pack_key(pack), (step.seed * 7919 + 100) % size)
        for volume in (VOLUME, OTHER):
            for backup in self.backups(volume):
                source = MemorySource(self.world.images[volume, backup])
                left = scrub(self.world.vault, tuning=TUNING, clock=self.world, source=source).left
                if not left.damaged:
                    return
        assert not left.damaged

    def do(self, step: Step) -> None:
        vault = self.world.vault
        match step.what:
            case "change" | "full":
                self.back_up(step, noise(step.seed, 1), full=step.what == "full")
            case "zero":
                self.back_up(step, bytes(CHUNK))
            case "delete":
                known = self.backups(step.volume)
                if known:
                    delete_backups(vault, [(step.volume, known[step.chunk % len(known)])], tuning=TUNING)
            case "prune":
                self.prune(Limits(), Policy(last=1 + step.seed))
            case "compact":
                self.prune(Limits(max_unused=0))
            case "merge":
                self.prune(Limits(max_unused=0.3, max_rewrite=step.seed * CHUNK))
            case "reader":
                with announced(vault, "read"):
                    self.prune(Limits(max_unused=0), Policy(last=2))
                    self.world.check()
            case "damage":
                self.damage(step)
            case _:
                collect_garbage(vault, tuning=TUNING)


@pytest.mark.parametrize("encrypted", [False, True])
@settings(max_examples=40, deadline=None)
@given(steps=steps)
def test_a_repository_gives_back_what_it_was_given(encrypted: bool, steps: list[Step]) -> None:
    life = Life(encrypted=encrypted)
    for step in steps:
        life.do(step)
        life.world.check()
    # What was doomed when it was damaged may be named again.
    assert not scrub(life.world.vault, tuning=TUNING, clock=life.world, repair=True).left.damaged
    everything = [(each.volume, each.backup) for each in life.world.state().backups]
    delete_backups(life.world.vault, everything, tuning=TUNING)
    collect_garbage(life.world.vault, tuning=TUNING)
    assert list(life.world.store.list(PACKS)) == []
    assert not life.world.state().moved
