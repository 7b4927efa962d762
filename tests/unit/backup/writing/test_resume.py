"""A backup that was killed is gone on with: what it had put is neither read nor put again."""

from __future__ import annotations

import threading
import time
from dataclasses import replace

import msgspec
import pytest
from blake3 import blake3

from drystone.backup.collecting.choice import Limits
from drystone.backup.collecting.delete import delete_backups
from drystone.backup.collecting.prune import Wish, prune
from drystone.backup.collecting.retention import Policy
from drystone.backup.format.keys import OPEN, PACKS, PROGRESS
from drystone.backup.format.manifest import Head
from drystone.backup.format.slot import Hardness, KeyFile
from drystone.backup.repository import BackupRequest, Repository, create_repository, open_repository
from drystone.backup.state import operations
from drystone.backup.state.operations import Operation
from drystone.backup.tuning import Tuning
from drystone.base.errors import ExhaustedError
from drystone.store.abc import Data
from drystone.testing.repositories import left_over, read_back, sweep
from drystone.testing.sources import MemorySource
from drystone.testing.stores import FaultyStore, Killed, MemoryStore

CHUNK = 65536
TUNING = Tuning(chunk_size=CHUNK, segment_slots=4, pack=2 * CHUNK, threads=2, checkpoint=4 * CHUNK, seed=1)
VOLUME = "11111111-1111-4111-8111-111111111111"
KEY = KeyFile(b"k" * 32)


def noise(seed: int, chunks: int) -> bytes:
    return blake3(b"%d" % seed).digest(chunks * CHUNK)


IMAGE = noise(1, 9) + bytes(6 * CHUNK) + noise(2, 1) * 5 + bytes(8 * CHUNK) + noise(3, 10) + b"end"
CHANGES = [(2 * CHUNK, CHUNK), (9 * CHUNK, 3 * CHUNK), (16 * CHUNK, 4 * CHUNK), (30 * CHUNK, 5 * CHUNK)]


def changed() -> bytes:
    """The image after changes: written, made zeros, and zeros written to."""
    image = bytearray(IMAGE)
    for seed, (offset, length) in enumerate(CHANGES, 50):
        image[offset : offset + length] = noise(seed, length // CHUNK)
    image[16 * CHUNK : 20 * CHUNK] = bytes(4 * CHUNK)
    return bytes(image)


def run(
    store: MemoryStore, faults: str, base: str, identity: str, *, relative: bool
) -> tuple[Head | None, MemorySource, list[str]]:
    """A run over a store that fails so; None when it was killed."""
    faulty = FaultyStore(store, faults)
    source = MemorySource(changed() if base else IMAGE, CHANGES if relative else None, identity)
    try:
        repository = open_repository(faulty, tuning=TUNING)
        made = repository.create(source, BackupRequest(VOLUME, "s", base))
    except Killed:
        return None, source, faulty.calls
    return made, source, faulty.calls


def make_store(base: bool) -> tuple[MemoryStore, str]:
    store = MemoryStore()
    repository = create_repository(store, tuning=TUNING)
    made = repository.create(MemorySource(IMAGE), BackupRequest(VOLUME, "s")).backup if base else ""
    return store, made


KINDS = {"full": (False, False), "compared": (True, False), "relative": (True, True)}


@pytest.mark.parametrize(("based", "relative"), KINDS.values(), ids=KINDS)
def test_killed_anywhere_it_is_gone_on_with(based: bool, relative: bool) -> None:
    store, base = make_store(based)
    _, whole_source, calls = run(store, "", base, "same", relative=relative)
    whole = sum(length for _, length in whole_source.reads)
    saved = 0
    for number in range(len(calls)):
        store, base = make_store(based)
        packs = set(objects(store, PACKS))
        assert run(store, "R" * number + "K", base, "same", relative=relative)[0] is None
        made, source, _ = run(store, "", base, "same", relative=relative)
        if made is None:
            raise AssertionError
        assert read_back(store, VOLUME, made.backup, TUNING) == (changed() if base else IMAGE)
        repository = open_repository(store, tuning=TUNING)
        repository.verify(VOLUME, made.backup)
        saved = max(saved, whole - sum(length for _, length in source.reads))
        own = sum(len(store.objects[key]) for key in objects(store, PACKS) if key not in packs)
        assert made.stored <= own
        check_empty(repository, store)
    assert saved >= (4 if relative else 16) * CHUNK


def resumable(store: MemoryStore) -> bool:
    """Whether a dead run is left that had put progress down."""
    return bool(objects(store, PROGRESS))


def objects(store: MemoryStore, below: str) -> list[str]:
    return sorted(key for key, _ in store.list(below))


def check_empty(repository: Repository, store: MemoryStore) -> None:
    for each in repository.list():
        repository.delete(each.volume, each.backup)
    sweep(repository)
    assert left_over(store) == []


def kill_late(store: MemoryStore, base: str, identity: str = "same", *, relative: bool = False) -> None:
    """A run that is killed as it puts its manifest."""
    copy = MemoryStore()
    copy.objects.update(store.objects)
    calls = run(copy, "", base, identity, relative=relative)[2]
    at = next(number for number, call in enumerate(calls) if call.startswith("put") and "/backups/" in call)
    assert run(store, "R" * at + "K", base, identity, relative=relative)[0] is None
    assert resumable(store)


def test_only_the_same_source_is_gone_on_with() -> None:
    store, _ = make_store(base=False)
    kill_late(store, "")
    for identity in ("other", ""):
        made, source, _ = run(store, "", "", identity, relative=False)
        assert made is not None
        assert sum(length for _, length in source.reads) == len(IMAGE)
    made, source, _ = run(store, "", "", "same", relative=False)
    assert made is not None
    assert sum(length for _, length in source.reads) < len(IMAGE) // 2


def test_a_run_that_cuts_the_image_otherwise_does_not_go_on() -> None:
    store, _ = make_store(base=False)
    kill_late(store, "")
    source = MemorySource(IMAGE, None, "same")
    tuning = replace(TUNING, chunk_size=2 * CHUNK)
    made = open_repository(store, tuning=tuning).create(source, BackupRequest(VOLUME, "s"))
    assert sum(length for _, length in source.reads) == len(IMAGE)
    assert read_back(store, VOLUME, made.backup, tuning) == IMAGE


def test_progress_that_cannot_be_put_stops_no_backup() -> None:
    class Full(MemoryStore):
        tries = 0

        def put_if_absent(self, key: str, data: Data) -> bool:
            if key.startswith(PROGRESS):
                self.tries += 1
                raise ExhaustedError("no room for this")
            return super().put_if_absent(key, data)

    store = Full()
    tuning = replace(TUNING, checkpoint=8 * CHUNK)
    repository = create_repository(store, tuning=tuning)
    made = repository.create(MemorySource(IMAGE, None, "same"), BackupRequest(VOLUME, "s"))
    assert 2 <= store.tries <= len(IMAGE) // tuning.checkpoint, "it is not tried again at once"
    assert read_back(store, VOLUME, made.backup, TUNING) == IMAGE
    assert objects(store, OPEN) == []


def test_killed_again_and_again_it_ends() -> None:
    store, _ = make_store(base=False)
    reads = 0
    made = None
    for calls in range(30, 300, 10):
        made, source, _ = run(store, "R" * calls + "K", "", "same", relative=False)
        reads += sum(length for _, length in source.reads)
        if made is not None:
            break
    assert made is not None
    assert reads < 6 * len(IMAGE)
    assert read_back(store, VOLUME, made.backup, TUNING) == IMAGE


@pytest.mark.parametrize(
    "what", ["a pack of chunks", "a pack of segments", "progress", "progress between", "all progress"]
)
def test_what_is_missing_is_done_again(what: str) -> None:
    store, _ = make_store(base=False)
    kill_late(store, "")
    packs = objects(store, PACKS)
    progress = objects(store, PROGRESS)
    if what == "progress":
        store.objects[progress[1]] = store.objects[progress[1]][:-3]
    elif what == "progress between":
        store.objects[progress[1]] = store.objects.pop(progress[2])
    elif what == "all progress":
        for key in progress:
            del store.objects[key]
    else:
        kind = 1 if what == "a pack of chunks" else 3
        del store.objects[next(key for key in packs if store.objects[key][32 + 12] == kind)]
    made, _, _ = run(store, "", "", "same", relative=False)
    assert made is not None
    assert read_back(store, VOLUME, made.backup, TUNING) == IMAGE
    open_repository(store).verify(VOLUME, made.backup)


@pytest.mark.parametrize("whole", [True, False])
def test_what_a_collector_has_begun_to_clean_up_is_not_taken_over(whole: bool) -> None:
    class Collected(MemoryStore):
        """A collector comes when the next run has announced itself and not yet looked for the dead one's object."""

        armed = False
        dead = ""

        def put_if_absent(self, key: str, data: Data) -> bool:
            won = super().put_if_absent(key, data)
            if self.armed and key.startswith(OPEN):
                self.armed = False
                if whole:
                    sweep(open_repository(self, tuning=TUNING))
                else:  # it is held up after its first deletion
                    self.delete(self.dead)
            return won

    inner, _ = make_store(base=False)
    kill_late(inner, "")
    store = Collected()
    store.objects = inner.objects
    (store.dead,) = objects(store, OPEN)
    store.armed = True
    source = MemorySource(IMAGE, None, "same")
    made = open_repository(store, tuning=TUNING).create(source, BackupRequest(VOLUME, "s"))
    assert not store.armed
    assert sum(length for _, length in source.reads) == len(IMAGE)
    assert read_back(store, VOLUME, made.backup, TUNING) == IMAGE
    open_repository(store).verify(VOLUME, made.backup)


def test_a_failure_after_progress_leaves_it_to_the_next_run() -> None:
    class Failing(MemorySource):
        def read_into(self, offset: int, buffer: object) -> None:
            if offset > 20 * CHUNK:
                raise KeyboardInterrupt
            super().read_into(offset, buffer)  # type: ignore[arg-type]

    store, _ = make_store(base=False)
    with pytest.raises(KeyboardInterrupt):
        open_repository(store, tuning=TUNING).create(Failing(IMAGE, None, "same"), BackupRequest(VOLUME, "s"))
    assert resumable(store)
    made, source, _ = run(store, "", "", "same", relative=False)
    assert made is not None
    assert sum(length for _, length in source.reads) < len(IMAGE)
    assert not resumable(store)
    assert made.read == len(IMAGE)


def test_one_that_was_wrongly_taken_for_dead_takes_no_pack_away() -> None:
    """It fails after another has taken it over and made a backup of what it had put."""
    store, _ = make_store(base=False)
    others: list[Head] = []
    first = threading.Lock()

    class Overtaken(MemorySource):
        def read_into(self, offset: int, buffer: object) -> None:
            while offset >= 28 * CHUNK and not resumable(store):
                time.sleep(0.001)
            if offset >= 28 * CHUNK and first.acquire(blocking=False):
                (key,) = objects(store, OPEN)
                old = store.objects[key]
                value = msgspec.structs.replace(msgspec.json.decode(old, type=Operation), boot="other")
                store.objects[key] = msgspec.json.encode(value)
                made, source, _ = run(store, "", "", "same", relative=False)
                assert made is not None
                assert sum(length for _, length in source.reads) < len(IMAGE)
                others.append(made)
                raise OSError("no more")
            super().read_into(offset, buffer)  # type: ignore[arg-type]

    with pytest.raises(OSError, match="no more"):
        open_repository(store, tuning=TUNING).create(Overtaken(IMAGE, None, "same"), BackupRequest(VOLUME, "s"))
    open_repository(store).verify(VOLUME, others[0].backup)
    assert read_back(store, VOLUME, others[0].backup, TUNING) == IMAGE


def test_an_encrypted_one_is_gone_on_with() -> None:
    store = MemoryStore()
    create_repository(store, KEY, tuning=TUNING, hardness=Hardness(64, 1, 1))
    source = MemorySource(IMAGE, None, "same")
    copy = MemoryStore()
    copy.objects.update(store.objects)
    recorded = FaultyStore(copy)
    open_repository(recorded, KEY, tuning=TUNING).create(source, BackupRequest(VOLUME, "s"))
    at = next(number for number, call in enumerate(recorded.calls) if call.startswith("put") and "/backups/" in call)
    calls = FaultyStore(store, "R" * at + "K")
    with pytest.raises(Killed):
        open_repository(calls, KEY, tuning=TUNING).create(source, BackupRequest(VOLUME, "s"))
    again = MemorySource(IMAGE, None, "same")
    repository = open_repository(store, KEY, tuning=TUNING)
    made = repository.create(again, BackupRequest(VOLUME, "s"))
    assert sum(length for _, length in again.reads) < len(IMAGE) // 2
    assert read_back(repository.vault, VOLUME, made.backup, TUNING) == IMAGE


OTHER = "22222222-2222-4222-8222-222222222222"
THIRD = "33333333-3333-4333-8333-333333333333"


def prune_elsewhere(store: MemoryStore) -> None:
    """On another host, which cannot tell who is dead here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(operations, "is_dead", lambda _key, _operation: False)
        prune(open_repository(store).vault, Wish(Policy(), Limits(max_unused=0)), tuning=TUNING)


def test_what_another_host_compacted_meanwhile_stays() -> None:
    """The dead run refers to a chunk that no backup needs, in a pack that is rewritten without it."""

    class Pruned(MemoryStore):
        """The other host prunes twice before the manifest is put."""

        armed = True

        def put_if_absent(self, key: str, data: Data) -> bool:
            if self.armed and "/backups/" in key:
                self.armed = False
                prune_elsewhere(self)
                prune_elsewhere(self)
            return super().put_if_absent(key, data)

    inner, _ = make_store(base=False)
    repository = open_repository(inner, tuning=TUNING)
    whole = repository.create(MemorySource(IMAGE[: 2 * CHUNK]), BackupRequest(OTHER, "s"))
    repository.create(MemorySource(IMAGE[CHUNK : 2 * CHUNK]), BackupRequest(THIRD, "s"))
    delete_backups(repository.vault, [(OTHER, whole.backup)], tuning=TUNING)
    kill_late(inner, "")
    prune_elsewhere(inner)
    store = Pruned()
    store.objects = inner.objects
    source = MemorySource(IMAGE, None, "same")
    made = open_repository(store, tuning=TUNING).create(source, BackupRequest(VOLUME, "s"))
    assert not store.armed
    assert sum(length for _, length in source.reads) < len(IMAGE)
    assert read_back(store, VOLUME, made.backup, TUNING) == IMAGE


def test_a_lost_pack_of_another_backup_stops_no_later_run() -> None:
    store, _ = make_store(base=False)
    open_repository(store, tuning=TUNING).create(MemorySource(IMAGE[: 2 * CHUNK]), BackupRequest(OTHER, "s"))
    before = objects(store, PACKS)
    kill_late(store, "")
    for key in before:
        del store.objects[key]
    made, source, _ = run(store, "", "", "same", relative=False)
    assert made is not None
    assert sum(length for _, length in source.reads) == len(IMAGE)
    assert read_back(store, VOLUME, made.backup, TUNING) == IMAGE
