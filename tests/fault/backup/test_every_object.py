"""Every object of a repository is flipped, cut, dropped or exchanged with another: what is hit is named, no wrong byte
is restored, nothing crashes, and nothing that is needed is deleted.
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache

import pytest

from drystone.backup.collecting.choice import Limits
from drystone.backup.collecting.delete import delete_backups
from drystone.backup.collecting.prune import Wish, prune
from drystone.backup.collecting.rebuild import rebuild
from drystone.backup.collecting.retention import Policy
from drystone.backup.collecting.scrub import Findings
from drystone.backup.collecting.scrubbing import scrub
from drystone.backup.format.keys import INDEX, PACKS, REPOSITORY, SLOTS, STATE, VOLUMES, state_key
from drystone.backup.pipeline import silent
from drystone.backup.reading.entries import read_entry
from drystone.backup.reading.locate import Locator
from drystone.backup.reading.restore import restore_backup
from drystone.backup.reading.verify import verify_backup
from drystone.backup.state.generations import read_state
from drystone.backup.vault import Vault
from drystone.base.clock import SystemClock
from drystone.base.errors import DrystoneError
from drystone.testing.backup_world import OTHER, TUNING, VOLUME, BackupWorld, noise, with_chunk
from drystone.testing.repositories import collect_garbage, read_back
from drystone.testing.serial import serial
from drystone.testing.sources import MemoryTarget

UNTOUCHED = 0xAA
KINDS = (REPOSITORY, SLOTS, STATE, VOLUMES, PACKS, INDEX)
Objects = dict[str, bytes]
Name = tuple[str, str]


@cache
def whole(*, encrypted: bool) -> BackupWorld:
    """Backups of two volumes that share some data; packs were rewritten once."""
    with serial(5):
        world = BackupWorld(encrypted=encrypted)
        image = noise(1, 6) + bytes(4 * 65536) + noise(2, 1)[:1000]
        first = world.back_up(image)
        image = with_chunk(image, 1, noise(3, 1))
        second = world.back_up(image, first, [(1, 1)])
        world.back_up(noise(4, 2) + image[2 * 65536 : 4 * 65536] + noise(5, 1), volume=OTHER)
        delete_backups(world.vault, [(VOLUME, first.backup)], tuning=TUNING)
        del world.images[VOLUME, first.backup]
        prune(world.vault, Wish(Policy(), Limits(max_unused=0)), tuning=TUNING)
        world.back_up(with_chunk(image, 5, noise(6, 1)), second, [(5, 1)])
        assert world.state().moved
        world.check()
    return world


def flip(objects: Objects, key: str, rng: random.Random) -> None:
    data = objects[key]
    at = rng.randrange(len(data))
    objects[key] = data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :]


def cut(objects: Objects, key: str, rng: random.Random) -> None:
    data = objects[key]
    objects[key] = data[: rng.choice([0, len(data) // 2, len(data) - 1])]


def drop(objects: Objects, key: str, _rng: random.Random) -> None:
    del objects[key]


def exchange(objects: Objects, key: str, rng: random.Random) -> None:
    """With another object of its kind."""
    kind = next(each for each in KINDS if key.startswith(each))
    others = [each for each in sorted(objects) if each.startswith(kind) and each != key]
    if others:
        other = rng.choice(others)
        objects[key], objects[other] = objects[other], objects[key]


HARMS: dict[str, Callable[[Objects, str, random.Random], None]] = {
    "flip": flip, "cut": cut, "drop": drop, "exchange": exchange,
}  # fmt: skip


@dataclass
class Case:
    """A repository of which an object is harmed. `true`: the store as it was; `wrong`: keys that are not so now."""

    world: BackupWorld
    true: Objects
    wrong: set[str]

    def again(self) -> Case:
        """The same, untouched by what was done since."""
        return make_case(self.world.vault.encrypted, self.wrong_objects, self.true)

    @property
    def objects(self) -> Objects:
        return self.world.store.objects

    def __post_init__(self) -> None:
        self.wrong_objects = dict(self.objects)

    def heal(self) -> None:
        """As if the damage had passed: what was harmed is put back, unless somebody deleted it since."""
        for key in self.wrong:
            if key in self.objects or key not in self.wrong_objects:
                self.objects[key] = self.true[key]

    def open(self) -> Vault | None:
        try:
            return self.world.vault_of(self.world.store)
        except DrystoneError:
            return None


def make_case(encrypted: bool, objects: Objects, true: Objects) -> Case:
    world = whole(encrypted=encrypted).copy()
    world.store.objects.clear()
    world.store.objects.update(objects)
    return Case(world, true, {key for key in true if objects.get(key) != true[key]})


def cases(encrypted: bool, harm: str) -> Iterator[tuple[str, Case]]:
    true = dict(whole(encrypted=encrypted).store.objects)
    newest = state_key(whole(encrypted=encrypted).state().number)
    for number, key in enumerate(sorted(true)):
        objects = dict(true)
        if harm == "drop" and key == newest:
            continue  # nobody can tell that there was one: stores that lose what they acknowledged have no remedy
        HARMS[harm](objects, key, random.Random(f"{harm} {number}"))
        yield key, make_case(encrypted, objects, true)


def readable(case: Case, vault: Vault) -> set[Name]:
    """The backups that can be restored: to what they were; what cannot is told, and the rest of it is right."""
    found: set[Name] = set()
    try:
        state = read_state(vault)
    except DrystoneError:
        return found
    locator = Locator(vault, state)
    for entry in state.backups:
        name = (entry.volume, entry.backup)
        try:
            assert read_back(vault, *name, TUNING) == case.world.images[name]
            found.add(name)
        except DrystoneError:
            past_damage(locator, case, name)
        try:
            verify_backup(locator, read_entry(locator, *name), tuning=TUNING, progress=silent)
        except DrystoneError:
            continue
        assert name in found, "verify says that it is whole"
    return found


def past_damage(locator: Locator, case: Case, name: Name) -> None:
    image = case.world.images[name]
    target = MemoryTarget(bytes([UNTOUCHED]) * len(image))
    try:
        manifest = read_entry(locator, *name)
    except DrystoneError:
        return
    damages = restore_backup(locator, manifest, target, tuning=TUNING, progress=silent, skip_damaged=True)
    assert damages
    wanted = bytearray(image)
    for each in damages:
        wanted[each.offset : each.offset + each.length] = bytes([UNTOUCHED]) * each.length
    assert target.data == wanted


def named(findings: Findings) -> set[Name]:
    hits = {(hit.volume, hit.backup) for loss in findings.losses if not loss.mended for hit in loss.hits}
    return hits | findings.manifests.keys()


def check_scrub(key: str, case: Case, vault: Vault, good: set[Name]) -> None:
    """What cannot be restored is named, and so is every object of which a backup needs something."""
    try:
        findings = scrub(vault, tuning=TUNING, clock=SystemClock()).found
    except DrystoneError:
        assert not good, f"{key}: scrub fails where backups can be read"
        return
    assert named(findings) == set(case.world.images) - good
    if case.wrong and key.startswith((PACKS, VOLUMES)):
        assert findings.damaged or findings.unneeded, f"{key}: nothing was found"


def check_changes(case: Case, act: Callable[[Vault], object]) -> None:
    """An action on the damaged repository removes nothing that is needed: when the damage passes all is there."""
    vault = case.open()
    if vault is None:
        return
    with contextlib.suppress(DrystoneError):
        act(vault)
    case.heal()
    world = case.world
    try:
        listed = {(each.volume, each.backup) for each in world.state().backups}
    except DrystoneError:
        # A generation that was put upon an exchanged one is another than the one that is healed: see rebuild.
        rebuild(world.vault)
        listed = {(each.volume, each.backup) for each in world.state().backups}
    for name in listed:
        assert read_back(world.vault, *name, TUNING) == world.images[name]
    assert listed == set(world.images)


def prune_all(vault: Vault) -> None:
    prune(vault, Wish(Policy(), Limits(max_unused=0)), tuning=TUNING)


def scrub_and_prune(vault: Vault) -> None:
    scrub(vault, tuning=TUNING, clock=SystemClock(), repair=True)
    prune_all(vault)


def collect(vault: Vault) -> None:
    collect_garbage(vault, tuning=TUNING, force=True)


@pytest.mark.parametrize("encrypted", [False, True])
@pytest.mark.parametrize("harm", HARMS)
def test_it_is_harmed(harm: str, *, encrypted: bool) -> None:
    seen = set()
    with serial(7):
        for key, case in cases(encrypted, harm):
            seen.add(key.split("/")[1])
            vault = case.open()
            if vault is None:
                assert key.startswith((REPOSITORY, SLOTS))
                continue
            good = readable(case, vault)
            check_scrub(key, case, vault, good)
            for act in (prune_all, scrub_and_prune, collect):
                check_changes(case.again(), act)
    assert seen >= {"repository", "state", "volumes", "packs", "index"}


@pytest.mark.parametrize("encrypted", [False, True])
def test_a_damaged_state_is_made_anew(*, encrypted: bool) -> None:
    """Without the newest generation, whatever happened to it, and without an index: all backups are there again."""
    begun = whole(encrypted=encrypted)
    newest = state_key(begun.state().number)
    for name, harm in HARMS.items():
        for index in (None, *(key for key in begun.store.objects if key.startswith(INDEX))):
            objects = dict(begun.store.objects)
            if name == "drop":
                objects[newest] = b""
            else:
                harm(objects, newest, random.Random(1))
            if index is not None:
                del objects[index]
            with serial(9):
                world = make_case(encrypted, objects, dict(begun.store.objects)).world
                with pytest.raises(DrystoneError):
                    read_state(world.vault)
                made = rebuild(world.vault)
                assert not made.left_out
                assert {(each.volume, each.backup) for each in made.backups} == set(world.images)
                world.check()
                prune_all(world.vault)
                world.check()
                assert not scrub(world.vault, tuning=TUNING, clock=SystemClock()).found.damaged
