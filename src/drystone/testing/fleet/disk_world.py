"""A disk of the fleet and what must be on it: changes are made to both, and compared."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from drystone.fleet.disk.changes import Change, ComparedPage, PartRecord
from drystone.fleet.disk.disk import Disk
from drystone.fleet.disk.files import DiskFiles
from drystone.fleet.disk.identity import initialize
from drystone.fleet.disk.incoming import Incoming
from drystone.fleet.documents import Member, Placement
from drystone.fleet.objects import ObjectInfo, PutOptions, UploadInfo

FLEET = "fleet-of-tests"
PLACEMENT = "p1"
EPOCH = 3


def placement(disk_id: str, *, host: str = "h", placement_id: str = PLACEMENT, epoch: int = EPOCH) -> Placement:
    """One with a single member, server s1."""
    member = Member("s1", "data_1", disk_id, "primary", "in_sync")
    return Placement(placement_id, "ns", host, host or "@ns", "exclusive", epoch, "s1", (member,))


@contextmanager
def quick_folder() -> Iterator[Path]:
    """A folder for a while, in memory where that can be had: an index syncs, which takes its time on a disk."""
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108  # the name below it is random
    with tempfile.TemporaryDirectory(dir=memory, prefix="drystone-") as folder:
        yield Path(folder)


class UnsyncedFiles(DiskFiles):
    """A folder whose syncs take no time, for looking at states."""

    def sync(self, handle: int) -> None:
        """Nothing."""

    def sync_folder(self, place: str) -> None:
        """Nothing."""


@dataclass(frozen=True, slots=True)
class Version:
    """What must be there. :ivar data: None for a delete marker. :ivar tags: of the object."""

    made: int
    seq: int
    data: bytes | None
    tags: tuple[tuple[str, str], ...] = ()


State = dict[tuple[str, str], Version]
"""By key and version id."""


def content(key: str, seq: int, size: int) -> bytes:
    """Bytes that tell which change brought them."""
    word = f"{key}.{seq}|".encode()
    return (word * (size // len(word) + 1))[:size]


@dataclass(slots=True)
class DiskWorld:
    """A disk that is open, and the state that was acknowledged.

    :ivar next: the state that the last change leads to. :ivar dirty: keys that must be dirty.
    """

    disk: Disk
    state: State = field(default_factory=dict)
    next: State = field(default_factory=dict)
    dirty: set[str] = field(default_factory=set)

    def body(self, data: bytes, pieces: int = 1) -> Incoming:
        """A body that came, in so many pieces."""
        body = self.disk.receive(size=len(data))
        try:
            for number in range(pieces):
                body.write(data[len(data) * number // pieces : len(data) * (number + 1) // pieces])
        except BaseException:
            body.abandon()
            raise
        return body

    def put_change(self, key: str, version: str, data: bytes | None, body: Incoming | None) -> Change:
        """A change with a new version number."""
        seq = self.disk.take_seq(PLACEMENT, EPOCH)
        if body is None:
            info = ObjectInfo(key, 0, 1000.0 + seq % 1000, "", "", seq, version, delete_marker=data is None)
            return Change("put", PLACEMENT, info, seq)
        sums = body.finish()
        info = ObjectInfo(key, sums.size, 1000.0 + seq % 1000, sums.md5 or "x-1", sums.digest, seq, version)
        return Change("put", PLACEMENT, info, seq)

    def put(self, key: str, size: int = 20, version: str = "null", *, leads: bool = True, pieces: int = 1) -> None:
        """Put an object, as a leader does or as a member does. :param pieces: that its body comes in."""
        data = content(key, len(self.state), size)
        body = self.body(data, pieces)
        change = self.put_change(key, version, data, body)
        self.next = {**self.state, (key, version): Version(change.made, change.info.seq, data)}
        if leads:
            self.disk.commit(self.disk.prepare(change, body))
        else:
            assert self.disk.apply(change, body)
            self.disk.release(PLACEMENT, change.info.seq)
        self.state = self.next

    def mark(self, key: str, version: str) -> None:
        """Put a delete marker."""
        change = self.put_change(key, version, None, None)
        self.next = {**self.state, (key, version): Version(change.made, change.info.seq, None)}
        self.disk.commit(self.disk.prepare(change))
        self.state = self.next

    def remove(self, key: str, version: str = "null") -> None:
        """Remove a version."""
        seq = self.disk.take_seq(PLACEMENT, EPOCH)
        info = ObjectInfo(key, 0, 0.0, "", "", seq, version)
        self.next = {place: each for place, each in self.state.items() if place != (key, version)}
        self.disk.commit(self.disk.prepare(Change("remove", PLACEMENT, info, 0)))
        self.state = self.next

    def give_up(self, key: str, *, dirty: bool) -> None:
        """Prepare a put and take it back."""
        body = self.body(b"never seen" * 9)
        intent = self.disk.prepare(self.put_change(key, "null", b"", body), body)
        self.disk.abort(intent, dirty=dirty)
        if dirty:
            self.dirty.add(key)

    def put_part(self, upload_id: str, number: int, data: bytes, *, epoch: int | None = None) -> None:
        """Keep a part of an upload that was begun."""
        body = self.body(data)
        md5 = hashlib.md5(data).hexdigest()  # noqa: S324  # S3's
        record = PartRecord(number, len(data), md5, 7.0, {"crc32c": "x"}, body.finish().digest)
        self.disk.put_part(PLACEMENT, upload_id, record, body, epoch=epoch)

    def upload(self, key: str, sizes: tuple[int, ...]) -> None:
        """Put an object in parts; part 1 twice."""
        info = UploadInfo(key, f"u{len(self.state)}", 5.0, PutOptions())
        self.disk.begin_upload(PLACEMENT, info)
        data = b""
        for number, size in enumerate((sizes[0], *sizes)):
            part = content(f"{key}/{number}", number, size)
            data = data + part if number else b""
            self.put_part(info.upload_id, max(1, number), part)
        body = self.disk.assemble(PLACEMENT, info.upload_id, range(1, len(sizes) + 1)).finish()
        change = self.put_change(key, "null", data, body)
        self.next = {**self.state, (key, "null"): Version(change.made, change.info.seq, data)}
        self.disk.commit(self.disk.prepare(change, body))
        self.state = self.next
        self.disk.drop_upload(PLACEMENT, info.upload_id)


def leave_dirty(disk: Disk, placement_id: str, key: str, seq: int) -> None:
    """Have a key be dirty, as a change with that `seq` leaves it which its leader took back."""
    removal = Change("remove", placement_id, ObjectInfo(key, 0, 0.0, "", "", seq, "null"), 0)
    disk.abort(disk.prepare(removal), dirty=True)


def remove_absent(disk: Disk, after: str, page: ComparedPage, *, epoch: int | None = None, limit: int = 1000) -> int:
    """Remove what a leader's page lacks, as a copy does: how many versions there were."""
    removed = 0
    while True:
        absent, after = disk.absent(PLACEMENT, after, page, limit)
        removed += sum(disk.remove_compared(PLACEMENT, each, epoch=epoch) for each in absent)
        if not after:
            return removed


def make_disk(root: Path, files: DiskFiles | None = None, **more: object) -> Disk:
    """A new disk in an empty folder, open, with the placement."""
    root.mkdir(parents=True, exist_ok=True)
    identity = initialize(root, FLEET)
    disk = Disk(root, "data_1", files=files, reserve=0, **more)  # type: ignore[arg-type]  # on_commit
    disk.open(FLEET)
    disk.hold(placement(identity.disk_id), "primary")
    return disk


def read_state(disk: Disk, placement_id: str = PLACEMENT) -> State:
    """All that a disk says it has, every byte read and checked."""
    state: State = {}
    after = ""
    while True:
        page = disk.list(placement_id, "", "", after, 7, versions=True)
        for info in page.objects:
            entry = disk.find(placement_id, info.key, info.version_id)
            assert entry is not None, f"{info.key} is listed and not found"
            assert entry.info == info, f"{info} is listed, {entry.info} is found"
            data = None
            if not info.delete_marker:
                with disk.open_version(placement_id, info.key, info.version_id) as reader:
                    data = b"".join(bytes(view) for view in reader.read(0, info.size))
            state[info.key, info.version_id] = Version(entry.made, info.seq, data, tuple(sorted(info.tags.items())))
        after = page.after
        if not after:
            return state


def check_whole(disk: Disk, state: State) -> None:
    """What hangs together on a disk does: latest versions, counts, plain files, and nothing that nobody refers to."""
    by_key: dict[str, list[tuple[int, str]]] = {}
    for (key, version), each in state.items():
        by_key.setdefault(key, []).append((each.made, version))
    live = {}
    for key, versions in by_key.items():
        latest = state[key, max(versions)[1]]
        entry = disk.find(PLACEMENT, key)
        assert entry is not None
        assert entry.info.latest
        assert (entry.made, entry.info.delete_marker) == (latest.made, latest.data is None), key
        if latest.data is not None:
            live[key] = latest.data
            assert disk.path_of(PLACEMENT, key).read_bytes() == latest.data
    page = disk.list(PLACEMENT, "", "", "", 1000)
    assert [info.key for info in page.objects] == sorted(live, key=str.encode)
    (held,) = disk.held()
    total = sum(len(each.data or b"") for each in state.values())
    assert (held.objects, held.size) == (len(live), total), f"counts are {held.objects}, {held.size}, not {total}"
    assert list(disk.strays()) == []
    own = disk.root / ".drystone"
    assert not [*(own / "temp").iterdir()]
    files = [path for top in ("primary", "secondary") for path in (disk.root / top).rglob("*") if path.is_file()]
    odd = [*(own / "odd").iterdir(), *(own / "versions").iterdir()]
    assert len(files) + len(odd) == sum(each.data is not None for each in state.values())


def try_state(root: Path, allowed: list[State], dirty: set[str], events: Callable[[], str]) -> None:
    """Open what a power cut left and look at it, twice; then change every key.

    :param allowed: states of which one must be there. :param dirty: keys that must be dirty.
    :param events: what was done before, for the message.
    """
    disk = Disk(root, "data_1", files=UnsyncedFiles(root), reserve=0)
    for _ in range(2):
        disk.open(FLEET)
        try:
            if PLACEMENT not in disk.placements():
                assert {} in allowed, events()
                return
            state = read_state(disk)
            assert state in allowed, f"{events()}\nfound {state}\nnot of {allowed}"
            check_whole(disk, state)
            missing = dirty - {each.key for each in disk.dirty(PLACEMENT)}
            assert not missing, f"{events()}\n{missing} must be dirty"
            for upload in disk.uploads(PLACEMENT):
                _, parts = disk.parts(PLACEMENT, upload.upload_id)
                disk.assemble(PLACEMENT, upload.upload_id, [each.number for each in parts]).finish().abandon()
        finally:
            disk.close()
    disk.open(FLEET)
    try:
        world = DiskWorld(disk, dict(state))
        for upload in disk.uploads(PLACEMENT):
            disk.drop_upload(PLACEMENT, upload.upload_id)
        for key, version in state:
            world.put(key, 30, version)
        assert read_state(disk) == world.state, events()
        check_whole(disk, world.state)
    finally:
        disk.close()
