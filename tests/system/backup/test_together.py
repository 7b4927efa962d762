"""Several writers and collectors at once: real processes on a folder, and a real S3 server behind a bad network."""

from __future__ import annotations

import multiprocessing
import os
import random
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from hashlib import sha256
from multiprocessing.queues import Queue
from pathlib import Path

import pytest

from drystone.backup.collecting.choice import Limits
from drystone.backup.collecting.prune import Wish
from drystone.backup.collecting.retention import Policy
from drystone.backup.format.slot import KeyFile
from drystone.backup.repository import BackupRequest, Repository, create_repository, open_repository
from drystone.backup.state.operations import announced
from drystone.backup.tuning import Tuning
from drystone.base.errors import BusyError, DrystoneError, NotFoundError
from drystone.store import Store, open_store
from drystone.store.clients import Patience
from drystone.store.folder import FolderStore
from drystone.testing.proxy import BadGateway, CutAnswer, CutRequest, Fault, FaultyProxy, Slow
from drystone.testing.repositories import left_over, sweep
from drystone.testing.s3 import S3Server, start_server, why_absent
from drystone.testing.sources import MemorySource

CHUNK = 1 << 16
CHUNKS = 24
TUNING = Tuning(chunk_size=CHUNK, segment_slots=8, pack=4 * CHUNK, threads=2)
KEY = KeyFile(bytes(range(32)))
VOLUMES = [f"{number:08d}-1111-4111-8111-111111111111" for number in range(4)]
PATIENCE = Patience(silence=6.0, answer=60.0, first=4.0, again=20.0)


def image_of(seed: int) -> bytearray:
    """Of 24 chunks out of 60 that all volumes draw from, and one of its own."""
    rng = random.Random(seed)
    chunks = [random.Random(rng.randrange(60)).randbytes(CHUNK) for _ in range(CHUNKS)]
    return bytearray(b"".join(chunks) + rng.randbytes(1000))


def write(repository: Repository, volume: str, seed: int, turns: int) -> dict[str, str]:
    """Backups one upon the other, the older deleted now and then; those that must be there, and their digests."""
    rng = random.Random(seed)
    image = image_of(seed)
    kept: dict[str, str] = {}
    base = ""
    for turn in range(turns):
        at = rng.randrange(CHUNKS) * CHUNK
        image[at : at + CHUNK] = random.Random(rng.randrange(60)).randbytes(CHUNK)
        source = MemorySource(image, [(at, CHUNK)] if base else None)
        base = repository.create(source, BackupRequest(volume, "s", base)).backup
        kept[base] = sha256(image).hexdigest()
        if turn % 3 == 2:
            victim = next(iter(kept))
            repository.delete(volume, victim)
            del kept[victim]
    return kept


def collect(repository: Repository, turns: int) -> None:
    """Prunes that rewrite as much as they can, and scrubs, which must find nothing wrong."""
    for _ in range(turns):
        repository.prune(Wish(Policy(), Limits(max_unused=0)))
        assert not repository.scrub(repair=True).found.damaged


def check(repository: Repository, volume: str, kept: dict[str, str]) -> None:
    """What was kept is there and whole."""
    assert {each.backup for each in repository.list(volume)} >= set(kept)
    for backup, digest in kept.items():
        repository.verify(volume, backup)
        with repository.image(volume, backup) as image:
            assert sha256(image.read(0, CHUNKS * CHUNK + 1000)).hexdigest() == digest


def process(folder: Path, volume: str, seed: int, answers: Queue[tuple[str, dict[str, str]]]) -> None:
    """Run in a process of its own."""
    repository = open_repository(FolderStore(folder), KEY, tuning=TUNING)
    if volume:
        answers.put((volume, write(repository, volume, seed, 9)))
    else:
        collect(repository, 6)
        answers.put(("", {}))


def test_processes_on_a_folder(tmp_path: Path) -> None:
    folder = tmp_path / "repository"
    folder.mkdir()
    repository = create_repository(FolderStore(folder), KEY, tuning=TUNING)
    seed = int(os.environ.get("DRYSTONE_SEED", "0")) or random.SystemRandom().randrange(1, 1 << 32)
    sys.stdout.write(f"DRYSTONE_SEED={seed}\n")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    answers: Queue[tuple[str, dict[str, str]]] = context.Queue()
    jobs = [*VOLUMES[:3], "", ""]
    processes = [
        context.Process(target=process, args=(folder, volume, seed + at, answers)) for at, volume in enumerate(jobs)
    ]
    for each in processes:
        each.start()
    kept = dict(answers.get(timeout=300) for _ in jobs)
    for each in processes:
        each.join(60)
        assert each.exitcode == 0
    for volume in VOLUMES[:3]:
        check(repository, volume, kept[volume])
    collect(repository, 2)
    for volume in VOLUMES[:3]:
        check(repository, volume, kept[volume])
        for made in repository.list(volume):
            repository.delete(volume, made.backup)
    sweep(repository)
    assert left_over(repository.store) == []


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    if why := why_absent():
        pytest.skip(why)
    with start_server(tmp_path_factory.mktemp("s3")) as started:
        yield started


def connect(server: S3Server, place: str, endpoint: str = "") -> Store:
    return open_store(f"s3://{place}", environ=server.environ(endpoint=endpoint), patience=PATIENCE)


def test_more_than_a_page_of_packs_and_a_neighbour(server: S3Server) -> None:
    """Below vol10 there are 1,010 packs of a writer that is at work; vol1 is a repository of its own."""
    bucket = server.make_bucket()
    tuning = replace(TUNING, threads=16)
    repositories = [create_repository(connect(server, f"{bucket}/{name}"), tuning=tuning) for name in ("vol1", "vol10")]
    kept = [write(each, VOLUMES[0], 1, 1) for each in repositories]
    store = repositories[1].store

    def litter(number: int) -> bool:
        return store.put_if_absent(f"drystone-backup/packs/00/{'00' * 12}{number:08x}", b"not yet referred to")

    with announced(repositories[1].vault, "backup", writers=("00" * 12,)), ThreadPoolExecutor(16) as pool:
        assert all(pool.map(litter, range(1010)))
        assert sweep(repositories[1]) == (0, 0)
        made = write(repositories[1], VOLUMES[1], 2, 1)
    check(repositories[1], VOLUMES[1], made)
    assert len(list(store.list("drystone-backup/packs"))) > 1010
    for repository, promised in zip(repositories, kept, strict=True):
        check(repository, VOLUMES[0], promised)
    for backup in kept[0]:
        repositories[0].delete(VOLUMES[0], backup)
    assert left_over(repositories[0].store) == []
    check(repositories[1], VOLUMES[0], kept[1])


def test_two_writers_and_a_collector_at_s3(server: S3Server) -> None:
    place = f"{server.make_bucket()}/x"
    create_repository(connect(server, place), KEY, tuning=TUNING)

    def job(number: int) -> dict[str, str]:
        repository = open_repository(connect(server, place), KEY, tuning=TUNING)
        if number < 2:
            return write(repository, VOLUMES[number], number, 3)
        collect(repository, 1)
        return {}

    with ThreadPoolExecutor(3) as pool:
        kept = list(pool.map(job, range(3)))
    repository = open_repository(connect(server, place), KEY, tuning=TUNING)
    collect(repository, 1)
    for volume, promised in zip(VOLUMES, kept[:2], strict=False):
        check(repository, volume, promised)


def test_a_bad_network_while_backups_are_made_and_pruned(server: S3Server) -> None:
    place = f"{server.make_bucket()}/x"
    rng = random.Random(7)
    lock = threading.Lock()
    faults: list[Fault] = [CutAnswer(0), CutAnswer(10), BadGateway(), CutRequest(0), CutRequest(200), Slow(1_000_000)]

    def plan(_number: int, _line: str) -> Fault | None:
        with lock:
            return rng.choice(faults) if rng.random() < 0.06 else None

    with FaultyProxy(server.port) as proxy:
        repository = create_repository(connect(server, place, proxy.endpoint), KEY, tuning=TUNING)
        proxy.plan(plan)
        kept: dict[str, str] = {}
        failed = 0
        for seed in range(2):
            try:
                kept |= write(repository, VOLUMES[0], seed, 2)
                repository.prune(Wish(Policy(), Limits(max_unused=0)))
            except (BusyError, NotFoundError):
                raise
            except DrystoneError:
                failed += 1
        assert failed < 2, "most faults pass by"
        proxy.plan(None)
        check(repository, VOLUMES[0], kept)
        repository.prune(Wish(Policy(), Limits(max_unused=0)))
        check(repository, VOLUMES[0], kept)
        for each in repository.list():
            repository.delete(each.volume, each.backup)
        sweep(repository)
        assert left_over(repository.store) == []
