"""Scrubbing: what is damaged is named with all that it hits, and repaired from what has the bytes still."""

from __future__ import annotations

import numpy as np
import pytest

from drystone.backup.collecting.choice import Limits
from drystone.backup.collecting.collect import begin
from drystone.backup.collecting.delete import delete_backups
from drystone.backup.collecting.prune import Wish, prune
from drystone.backup.collecting.repair import mend
from drystone.backup.collecting.retention import Policy
from drystone.backup.collecting.scrub import Findings, find_damage, note_damage, raise_findings
from drystone.backup.collecting.scrubbing import Scrubbed, scrub
from drystone.backup.format.keys import index_key, manifest_key, pack_key
from drystone.backup.format.manifest import Head
from drystone.backup.format.pack import Kind
from drystone.backup.objects import read_manifest
from drystone.backup.pipeline import silent
from drystone.backup.reading.locate import read_pack_index
from drystone.backup.state.operations import announced
from drystone.base.errors import DamagedError, UsageError
from drystone.testing.backup_world import CHUNK, OTHER, TUNING, VOLUME, BackupWorld, noise, with_chunk
from drystone.testing.sources import MemorySource

IMAGE = noise(1, 10) + bytes(3 * CHUNK) + noise(2, 2)


@pytest.fixture(params=[False, True], ids=["plain", "encrypted"])
def world(request: pytest.FixtureRequest) -> BackupWorld:
    return BackupWorld(encrypted=request.param)


def run(world: BackupWorld, *, repair: bool = False, source: bytes | None = None, percent: float = 100) -> Scrubbed:
    told = MemorySource(source) if source is not None else None
    return scrub(world.vault, tuning=TUNING, clock=world, percent=percent, repair=repair, source=told)


def records(world: BackupWorld, kind: Kind) -> list[tuple[bytes, int, int, bytes]]:
    """(pack, offset, length, digest) of all records of a kind."""
    found: list[tuple[bytes, int, int, bytes]] = []
    for pack, size in sorted(world.packs().items()):
        rows = read_pack_index(world.vault, pack, size)
        chosen = rows[rows["kind"] == kind]
        found += [(pack, int(row["offset"]), int(row["length"]), bytes(row["digest"])) for row in chosen]
    return found


def break_chunk(world: BackupWorld, data: bytes) -> bytes:
    """Damage the record of a chunk; its pack."""
    digest = world.vault.hasher.digest(data)
    pack, offset, length, _ = next(each for each in records(world, Kind.CHUNK) if each[3] == digest)
    world.damage(pack_key(pack), offset + length // 2)
    return pack


def hits(findings: Findings) -> set[tuple[str, str, int, int]]:
    return {
        (hit.volume, hit.backup, hit.offset, hit.length)
        for loss in findings.losses
        if not loss.mended
        for hit in loss.hits
    }


def check_clean(world: BackupWorld) -> None:
    world.check()
    scrubbed = run(world)
    assert not scrubbed.found.damaged
    raise_findings(scrubbed.found)


def three(world: BackupWorld) -> list[Head]:
    """Two backups of a volume, one of another, all with the same first chunks."""
    first = world.back_up(IMAGE)
    second = world.back_up(with_chunk(IMAGE, 5, noise(3, 1)), first, [(5, 1)])
    other = world.back_up(bytes(CHUNK) + IMAGE[: 2 * CHUNK], volume=OTHER)
    return [first, second, other]


def test_what_is_whole_is_whole(world: BackupWorld) -> None:
    three(world)
    before = world.snapshot()
    scrubbed = run(world)
    assert not scrubbed.found.damaged
    assert scrubbed.found.checked.packs == len(world.packs())
    assert scrubbed.found.checked.records == len(records(world, Kind.CHUNK)) + len(records(world, Kind.SEGMENT))
    assert world.snapshot() == before


def test_a_damaged_chunk_is_named_with_all_that_it_hits(world: BackupWorld) -> None:
    first, second, other = three(world)
    pack = break_chunk(world, IMAGE[CHUNK : 2 * CHUNK])
    scrubbed = run(world)
    assert hits(scrubbed.found) == {
        (VOLUME, first.backup, CHUNK, CHUNK),
        (VOLUME, second.backup, CHUNK, CHUNK),
        (OTHER, other.backup, 2 * CHUNK, CHUNK),
    }
    assert list(world.state().damaged) == [pack.hex()]
    with pytest.raises(DamagedError) as error:
        raise_findings(scrubbed.found)
    assert error.value.facts["places"] == 1
    assert {each["backup"] for each in error.value.facts["backups"]} == {  # type: ignore[attr-defined]
        first.backup, second.backup, other.backup,
    }  # fmt: skip
    document = scrubbed.found.to_document()
    assert document["lost"] == [each.to_document() for each in scrubbed.found.losses]
    # A later backup stores the chunk again, and the older ones are whole by it.
    world.back_up(IMAGE, volume=OTHER)
    world.check()


def test_a_missing_pack_is_named(world: BackupWorld) -> None:
    first, second, _ = three(world)
    pack = break_chunk(world, IMAGE[6 * CHUNK : 7 * CHUNK])
    world.store.delete(pack_key(pack))
    scrubbed = run(world)
    assert scrubbed.found.missing == {pack}
    found = hits(scrubbed.found)
    assert {(VOLUME, each.backup, 6 * CHUNK, CHUNK) for each in (first, second)} <= found
    repaired = run(world, source=IMAGE)
    assert not repaired.left.damaged
    check_clean(world)


def test_a_source_gives_back_what_was_lost(world: BackupWorld) -> None:
    three(world)
    for chunk in (1, 5, 9, 14):
        break_chunk(world, IMAGE[chunk * CHUNK : (chunk + 1) * CHUNK])
    wrong = run(world, source=noise(77, 15))
    assert wrong.left.damaged
    assert wrong.chunks == 0
    scrubbed = run(world, source=IMAGE)
    assert scrubbed.chunks == 4
    assert not scrubbed.left.damaged
    assert not world.state().damaged
    check_clean(world)
    prune(world.vault, Wish(Policy(), Limits(max_unused=0)), tuning=TUNING)
    check_clean(world)
    for each in world.state().backups:
        delete_backups(world.vault, [(each.volume, each.backup)], tuning=TUNING)
        world.check()
    assert world.packs() == {}


def test_a_source_that_has_changed_gives_what_it_still_has(world: BackupWorld) -> None:
    three(world)
    for chunk in (1, 6):
        break_chunk(world, IMAGE[chunk * CHUNK : (chunk + 1) * CHUNK])
    scrubbed = run(world, source=with_chunk(IMAGE, 1, noise(8, 1)))
    assert scrubbed.chunks == 1
    assert {offset for _, _, offset, _ in hits(scrubbed.left)} == {CHUNK, 2 * CHUNK}


def test_every_round_of_a_repair_puts_packs_of_its_own(world: BackupWorld) -> None:
    """An id is used for one pack only: its key and nonces would be used twice."""
    three(world)
    with begin(world.vault, 2, operation="read") as job:
        for chunk in (1, 6):
            break_chunk(world, IMAGE[chunk * CHUNK : (chunk + 1) * CHUNK])
            found = find_damage(world.vault, world.state(), percent=100, tuning=TUNING, clock=world, progress=silent)
            assert mend(job, note_damage(job, found), found, MemorySource(IMAGE), TUNING).chunks == 1
    check_clean(world)


def test_an_equal_chunk_in_the_store_repairs(world: BackupWorld) -> None:
    first = world.back_up(IMAGE)
    lost = IMAGE[CHUNK : 2 * CHUNK]
    break_chunk(world, lost)
    run(world)
    world.back_up(lost, volume=OTHER)
    scrubbed = run(world)
    assert [loss.mended for loss in scrubbed.found.losses] == [True]
    world.check()
    repaired = run(world, repair=True)
    assert repaired.chunks == 1
    check_clean(world)
    assert first.backup


def test_a_damaged_map_segment_is_named_and_made_again(world: BackupWorld) -> None:
    first, second, _ = three(world)
    manifest = read_manifest(world.vault, VOLUME, first.backup)
    entry = manifest.find_segment(2)
    assert entry is not None
    _, place = entry
    world.damage(pack_key(place.pack), place.offset + 60)
    scrubbed = run(world)
    width = 4 * CHUNK
    assert hits(scrubbed.found) == {(VOLUME, each.backup, 2 * width, width) for each in (first, second)}
    assert run(world, source=noise(7, 15)).left.damaged
    repaired = run(world, source=IMAGE)
    assert repaired.segments == 1
    check_clean(world)
    third = world.back_up(with_chunk(IMAGE, 9, noise(9, 1)), first, [(9, 1)])
    delete_backups(world.vault, [(VOLUME, first.backup), (VOLUME, second.backup)], tuning=TUNING)
    world.check()
    prune(world.vault, Wish(Policy(), Limits(max_unused=0)), tuning=TUNING)
    check_clean(world)
    assert third.backup


def test_a_segment_and_its_chunks_are_both_made_again(world: BackupWorld) -> None:
    first = world.back_up(IMAGE)
    entry = read_manifest(world.vault, VOLUME, first.backup).find_segment(0)
    assert entry is not None
    world.store.delete(pack_key(entry[1].pack))
    for chunk in (0, 1, 8):
        break_chunk(world, IMAGE[chunk * CHUNK : (chunk + 1) * CHUNK])
    repaired = run(world, source=IMAGE)
    assert not repaired.left.damaged
    check_clean(world)


@pytest.mark.parametrize("at", [0, 20, -1, -20, -60])
def test_a_pack_whose_header_index_or_trailer_is_damaged(world: BackupWorld, at: int) -> None:
    three(world)
    pack = records(world, Kind.CHUNK)[0][0]
    world.damage(pack_key(pack), at % world.packs()[pack])
    world.check()
    scrubbed = run(world)
    assert set(scrubbed.found.checked.bad_packs) == {pack}
    assert hits(scrubbed.found) == set()
    repaired = run(world, repair=True)
    assert repaired.chunks > 0
    assert not repaired.left.damaged
    check_clean(world)
    prune(world.vault, Wish(Policy(), Limits()), tuning=TUNING)
    assert pack not in world.packs()
    check_clean(world)


def test_a_damaged_index_is_made_again(world: BackupWorld) -> None:
    three(world)
    for name in world.state().indexes:
        world.damage(index_key(name), 30)
    scrubbed = run(world)
    assert set(scrubbed.found.indexes) == set(world.state().indexes)
    assert not run(world, repair=True).left.damaged
    assert not run(world).found.damaged
    assert world.back_up(IMAGE, volume=OTHER).stored < CHUNK


def test_a_damaged_manifest_is_named(world: BackupWorld) -> None:
    first, second, _ = three(world)
    world.damage(manifest_key(VOLUME, first.backup), 40)
    break_chunk(world, IMAGE[CHUNK : 2 * CHUNK])
    scrubbed = run(world)
    assert set(scrubbed.found.manifests) == {(VOLUME, first.backup)}
    assert (VOLUME, second.backup, CHUNK, CHUNK) in hits(scrubbed.found)


def test_what_is_deleted_while_it_is_read_is_not_damaged(world: BackupWorld) -> None:
    first, second, _ = three(world)
    state = world.state()
    delete_backups(world.vault, [(VOLUME, first.backup)], tuning=TUNING)
    prune(world.vault, Wish(Policy(), Limits(max_unused=0)), tuning=TUNING)
    world.store.delete(manifest_key(VOLUME, second.backup))
    found = find_damage(world.vault, state, percent=100, tuning=TUNING, clock=world, progress=silent)
    assert set(found.manifests) == {(VOLUME, second.backup)}
    assert found.indexes == {}


def test_damage_that_no_backup_needs_is_noted_only(world: BackupWorld) -> None:
    first = world.back_up(IMAGE)
    second = world.back_up(with_chunk(IMAGE, 1, noise(5, 1)), first, [(1, 1)])
    delete_backups(world.vault, [(VOLUME, first.backup)], tuning=TUNING)
    pack = break_chunk(world, IMAGE[CHUNK : 2 * CHUNK])
    scrubbed = run(world)
    assert not scrubbed.found.damaged
    assert [each.place.pack for each in scrubbed.found.unneeded] == [pack]
    assert world.back_up(IMAGE, second, [(1, 1)]).stored > CHUNK, "it is stored again"
    world.check()


def test_moved_records_are_scrubbed_where_they_are(world: BackupWorld) -> None:
    first = world.back_up(IMAGE)
    changed = IMAGE
    for chunk in (0, 4, 8):
        changed = with_chunk(changed, chunk, noise(20 + chunk, 1))
    second = world.back_up(changed, first, [(0, 1), (4, 1), (8, 1)])
    delete_backups(world.vault, [(VOLUME, first.backup)], tuning=TUNING)
    prune(world.vault, Wish(Policy(), Limits(max_unused=0)), tuning=TUNING)
    assert world.state().moved
    break_chunk(world, changed[CHUNK : 2 * CHUNK])
    scrubbed = run(world)
    assert hits(scrubbed.found) == {(VOLUME, second.backup, CHUNK, CHUNK)}
    assert run(world, source=changed).chunks == 1
    check_clean(world)


def test_a_damaged_copy_of_a_map_segment_is_made_again(world: BackupWorld) -> None:
    """While its pack is there still, the segment is read from that."""
    first = world.back_up(IMAGE)
    second = world.back_up(with_chunk(IMAGE, 5, noise(3, 1)), first, [(5, 1)])
    delete_backups(world.vault, [(VOLUME, first.backup)], tuning=TUNING)
    old = set(world.packs())
    with announced(world.vault, "read"):
        prune(world.vault, Wish(Policy(), Limits(max_unused=0)), tuning=TUNING)
    copies = [each for each in records(world, Kind.SEGMENT) if each[0] not in old]
    assert copies
    for pack, offset, _, _ in copies:
        world.damage(pack_key(pack), offset + 60)
    world.check()
    found = run(world).found
    assert found.damaged
    assert {(loss.kind, loss.mended, loss.digest) for loss in found.losses} == {
        (Kind.SEGMENT, True, digest) for _, _, _, digest in copies
    }
    repaired = run(world, repair=True)
    assert (repaired.segments, repaired.left.damaged) == (len(copies), False)
    check_clean(world)
    assert second.backup


def test_some_percent_are_looked_at_by_turns(world: BackupWorld) -> None:
    rng = np.random.default_rng(1)
    for seed in range(15):
        world.back_up(noise(seed, 6))
    world.sleep(float(rng.integers(86400)))
    looked = 0
    for _ in range(60):
        looked += run(world, percent=10).found.checked.packs
        world.sleep(86400)
    assert 0.05 < looked / 60 / len(world.packs()) < 0.2
    break_chunk(world, noise(3, 1))
    turns = 0
    while not run(world, percent=10).found.damaged:
        world.sleep(86400)
        turns += 1
        assert turns < 60
    with pytest.raises(UsageError):
        run(world, percent=0)
