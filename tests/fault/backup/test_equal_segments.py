"""Map segments with the same chunks, of other numbers or at other places: a compaction must not mix them up."""

from __future__ import annotations

import pytest

from drystone.backup.collecting.choice import Limits
from drystone.backup.collecting.delete import delete_backups
from drystone.backup.collecting.prune import Wish, prune
from drystone.backup.collecting.retention import Policy
from drystone.backup.collecting.scrubbing import scrub
from drystone.backup.format.keys import pack_key
from drystone.backup.objects import read_manifest
from drystone.backup.pipeline import silent
from drystone.backup.writing.create import BackupRequest, create_backup
from drystone.base.clock import SystemClock
from drystone.testing.backup_world import OTHER, TUNING, VOLUME, BackupWorld, noise, with_chunk
from drystone.testing.sources import MemorySource


def compact(world: BackupWorld) -> None:
    prune(world.vault, Wish(Policy(), Limits(max_unused=0)), tuning=TUNING)


def delete(world: BackupWorld, volume: str, backup: str) -> None:
    delete_backups(world.vault, [(volume, backup)], tuning=TUNING)


@pytest.mark.parametrize("encrypted", [False, True])
def test_of_other_numbers(*, encrypted: bool) -> None:
    """An image whose first two segments are equal, and another volume that has them elsewhere."""
    world = BackupWorld(encrypted=encrypted)
    four = noise(7, 4)
    first = world.back_up(four + four + noise(1, 4))
    world.back_up(four + four + noise(2, 4), first, [(8, 4)])
    world.back_up(noise(3, 4) + noise(4, 4) + four, volume=OTHER)
    delete(world, VOLUME, first.backup)
    compact(world)
    world.check()
    compact(world)
    world.check()


@pytest.mark.parametrize("keep", [VOLUME, OTHER])
def test_of_other_places(keep: str) -> None:
    """The same image twice, the second stored anew: each map must lead to its own chunks when the other goes."""
    for _ in range(4):  # which of the two a compaction copies first is left to their random names
        world = BackupWorld()
        bases = {}
        for volume in (VOLUME, OTHER):
            image = noise(7, 12)
            request = BackupRequest(volume, "s", anew=True)
            first = create_backup(
                world.vault, MemorySource(image), request, tuning=TUNING, clock=world, progress=silent
            )
            world.images[volume, first.backup] = image
            image = with_chunk(image, 8, noise(8, 4))
            bases[volume] = world.back_up(image, first, [(8, 4)], volume=volume)
            delete(world, volume, first.backup)
        compact(world)
        image = with_chunk(world.images[keep, bases[keep].backup], 1, noise(9, 1))
        made = world.back_up(image, bases[keep], [(1, 1)], volume=keep)
        for volume in (VOLUME, OTHER):
            delete(world, volume, bases[volume].backup)
        world.check()
        assert not scrub(world.vault, tuning=TUNING, clock=SystemClock()).found.damaged
        compact(world)
        assert world.restored(keep, made.backup) == image


def test_a_lost_pack_with_both_is_repaired() -> None:
    """The pack of two equal segments is gone; a source has the bytes."""
    world = BackupWorld()
    image = noise(7, 4) * 3
    made = world.back_up(image)
    entry = world.state().find(VOLUME, made.backup)
    assert entry is not None
    segment = read_manifest(world.vault, VOLUME, made.backup).find_segment(1)
    assert segment is not None
    world.store.delete(pack_key(segment[1].pack))
    scrub(world.vault, tuning=TUNING, clock=SystemClock(), source=MemorySource(image))
    world.check()
    assert not scrub(world.vault, tuning=TUNING, clock=SystemClock()).found.damaged
