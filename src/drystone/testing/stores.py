"""Object stores under test: the conformance check that every store passes, and stores and file systems that fail.

for check in CONFORMANCE:
    check(make_empty_store())
"""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from drystone.base.errors import DamagedError, DrystoneError, NotFoundError, UnavailableError, UsageError
from drystone.store.abc import Data, PartStore, Store, check_key
from drystone.store.folder import Steps, SystemSteps

_RACERS = 16


class MemoryStore:
    """Objects in memory: a store without a disk, for tests of what uses stores."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self._lock = threading.Lock()

    def put_if_absent(self, key: str, data: Data) -> bool:
        """Copied, so that the caller may reuse its buffer."""
        copied = bytes(data)
        with self._lock:
            if check_key(key) in self.objects:
                return False
            self.objects[key] = copied
            return True

    def get(self, key: str) -> bytes:
        """The object itself."""
        found = self.objects.get(check_key(key))
        if found is None:
            raise NotFoundError(f"there is no object {key}", key=key)
        return found

    def get_range(self, key: str, offset: int, length: int) -> bytes:
        """A copy of a part."""
        if offset < 0 or length < 0:
            raise UsageError(f"bytes {offset}+{length} of {key} are no range")
        part = self.get(key)[offset : offset + length]
        if len(part) < length:
            raise DamagedError(f"object {key} ends before byte {offset + length}", key=key, offset=offset)
        return part

    def list(self, prefix: str) -> Iterator[tuple[str, int]]:
        """As of the moment of the call."""
        with self._lock:
            listed = [(key, len(data)) for key, data in self.objects.items()]
        below = f"{check_key(prefix)}/" if prefix else ""
        return (entry for entry in listed if entry[0].startswith(below))

    def delete(self, key: str) -> None:
        """Gone, whether it was there or not."""
        self.objects.pop(check_key(key), None)

    def clean(self) -> int:
        """There is never anything left behind."""
        return 0


class Killed(BaseException):
    """The process died here. No handler of ordinary errors sees it."""


class FaultyStore:
    """A store that fails by a map: one letter an operation, in the order in which operations begin.

    R right · E an error, nothing done · L done, but the answer is lost: an error · K the process dies before it
    · D the process dies after it. Past the map's end everything is right. After a death every operation dies.

    :ivar calls: the operations that began, as "put KEY", "get KEY", "list PREFIX", "delete KEY".
    """

    def __init__(self, inner: Store, faults: str = "") -> None:
        self._inner = inner
        self._faults = faults
        self._dead = False
        self._lock = threading.Lock()
        self.calls: list[str] = []

    def _next(self, call: str) -> str:
        with self._lock:
            if self._dead:
                raise Killed
            number = len(self.calls)
            self.calls.append(call)
            fault = self._faults[number] if number < len(self._faults) else "R"
            self._dead = fault in "KD"
        if fault == "K":
            raise Killed
        if fault == "E":
            raise UnavailableError(f"{call}: no answer")
        return fault

    def _end(self, fault: str, call: str) -> None:
        if fault == "D":
            raise Killed
        if fault == "L":
            raise UnavailableError(f"{call}: the answer was lost")

    def put_if_absent(self, key: str, data: Data) -> bool:
        """As the map says."""
        fault = self._next(f"put {key}")
        won = self._inner.put_if_absent(key, data)
        self._end(fault, f"put {key}")
        return won

    def get(self, key: str) -> bytes:
        """As the map says."""
        fault = self._next(f"get {key}")
        data = self._inner.get(key)
        self._end(fault, f"get {key}")
        return data

    def get_range(self, key: str, offset: int, length: int) -> bytes:
        """As the map says."""
        fault = self._next(f"get {key}")
        data = self._inner.get_range(key, offset, length)
        self._end(fault, f"get {key}")
        return data

    def list(self, prefix: str) -> Iterator[tuple[str, int]]:
        """As the map says, at the call."""
        fault = self._next(f"list {prefix}")
        listed = list(self._inner.list(prefix))
        self._end(fault, f"list {prefix}")
        return iter(listed)

    def delete(self, key: str) -> None:
        """As the map says."""
        fault = self._next(f"delete {key}")
        self._inner.delete(key)
        self._end(fault, f"delete {key}")

    def clean(self) -> int:
        """As the map says."""
        fault = self._next("clean")
        removed = self._inner.clean()
        self._end(fault, "clean")
        return removed


class RecordedSteps:
    """A folder store's steps on the real file system, written down, so that a power cut after each can be worked out.

    :ivar log: (step, path) of every step that is done: write, link, unlink, make_folder, sync_folder.
    :param fail: called with (number, step) before each; may raise.
    """

    def __init__(self, fail: Callable[[int, str], None] | None = None) -> None:
        self._system: Steps = SystemSteps()
        self._fail = fail or (lambda _number, _step: None)
        self._begun = 0
        self.log: list[tuple[str, Path]] = []

    def _begin(self, step: str) -> None:
        number, self._begun = self._begun, self._begun + 1
        self._fail(number, step)

    def write(self, path: Path, data: Data) -> int:
        """Recorded."""
        self._begin("write")
        handle = self._system.write(path, data)
        self.log.append(("write", path))
        return handle

    def create(self, path: Path) -> int:
        """Recorded as a write: it is the name that the log tells of."""
        self._begin("write")
        handle = self._system.create(path)
        self.log.append(("write", path))
        return handle

    def append(self, handle: int, data: Data) -> None:
        """May fail; not written down."""
        self._begin("append")
        self._system.append(handle, data)

    def sync(self, handle: int) -> None:
        """May fail; not written down."""
        self._begin("sync")
        self._system.sync(handle)

    def link(self, path: Path, target: Path) -> None:
        """Recorded."""
        self._begin("link")
        self._system.link(path, target)
        self.log.append(("link", target))

    def unlink(self, path: Path) -> None:
        """Recorded."""
        self._begin("unlink")
        self._system.unlink(path)
        self.log.append(("unlink", path))

    def make_folder(self, path: Path) -> None:
        """Recorded."""
        self._begin("make_folder")
        self._system.make_folder(path)
        self.log.append(("make_folder", path))

    def sync_folder(self, path: Path) -> None:
        """Recorded."""
        self._begin("sync_folder")
        self._system.sync_folder(path)
        self.log.append(("sync_folder", path))


def surely_there(log: list[tuple[str, Path]], before: set[Path]) -> set[Path]:
    """The names that survive a power cut after these steps, whatever the file system wrote early or late.

    A name survives when its folder was synced after it was made, and its folder's own name survives; a name that was
    unlinked counts as gone at once. `before`: names that were durable at the beginning.
    """
    made: set[Path] = set()
    synced = set(before)
    for step, path in log:
        if step in {"write", "link", "make_folder"}:
            made.add(path)
        elif step == "unlink":
            made.discard(path)
            synced.discard(path)
        else:
            synced |= {each for each in made if each.parent == path}
    return {path for path in synced if all(each in synced for each in path.parents if each in made)}


def check_put_and_get(store: Store) -> None:
    """What was put is got, of every kind of bytes and of none at all."""
    for name, data in (("a", b"bytes"), ("b", bytearray(b"array")), ("c", memoryview(b"view")), ("d", b"")):
        assert store.put_if_absent(f"kinds/{name}", data)
        assert store.get(f"kinds/{name}") == bytes(data)
    buffer = bytearray(b"first")
    assert store.put_if_absent("kinds/buffer", buffer)
    assert store.put_if_absent("kinds/view", memoryview(buffer))
    buffer[:] = b"other"
    assert store.get("kinds/buffer") == store.get("kinds/view") == b"first", "a buffer is its owner's again after a put"
    large = bytes(range(256)) * 12_345
    assert store.put_if_absent("kinds/large", large)
    assert store.get("kinds/large") == large


def check_first_put_wins(store: Store) -> None:
    """A second put changes nothing and says so; after a delete the key is free again."""
    assert store.put_if_absent("once", b"first")
    assert not store.put_if_absent("once", b"second")
    assert not store.put_if_absent("once", b"first")
    assert store.get("once") == b"first"
    store.delete("once")
    assert store.put_if_absent("once", b"third")
    assert store.get("once") == b"third"


def check_racing_puts(store: Store) -> None:
    """Of 16 that put at the same time one wins, and all of them see its bytes; 20 times."""
    for turn in range(20):
        barrier = threading.Barrier(_RACERS)

        def race(
            number: int, key: str = f"race/{turn}/winner", barrier: threading.Barrier = barrier
        ) -> tuple[bool, bytes]:
            barrier.wait()
            won = store.put_if_absent(key, b"racer %d" % number)
            return won, store.get(key)

        with ThreadPoolExecutor(_RACERS) as pool:
            results = list(pool.map(race, range(_RACERS)))
        winners = [number for number, (won, _) in enumerate(results) if won]
        assert len(winners) == 1, f"{len(winners)} racers won"
        assert {seen for _, seen in results} == {b"racer %d" % winners[0]}


def check_listing(store: Store) -> None:
    """Prefixes mean whole words, sizes are right, and many objects are all listed."""
    assert list(store.list("")) == []
    assert list(store.list("nothing/here")) == []
    for key in ("volumes/vol1/a", "volumes/vol1/b/c", "volumes/vol10/a", "volumes/vol1.x/a", "other"):
        assert store.put_if_absent(key, key.encode())
    assert sorted(store.list("volumes/vol1")) == [("volumes/vol1/a", 14), ("volumes/vol1/b/c", 16)]
    assert sorted(key for key, _ in store.list("volumes")) == [
        "volumes/vol1.x/a", "volumes/vol1/a", "volumes/vol1/b/c", "volumes/vol10/a",
    ]  # fmt: skip
    assert len(list(store.list(""))) == 5
    assert list(store.list("other")) == []
    assert list(store.list("vol")) == []
    with ThreadPoolExecutor(_RACERS) as pool:
        assert all(pool.map(lambda number: store.put_if_absent(f"many/{number:04d}", b""), range(1100)))
    assert len({key for key, _ in store.list("many")}) == 1100


def check_missing(store: Store) -> None:
    """What is not there is NotFoundError to read, and nothing to delete."""
    assert store.put_if_absent("there/is/one", b"x")
    for key in ("missing", "missing/too", "there/is/none", "there/is", "there/is/one/more"):
        _raises(NotFoundError, store.get, key)
        _raises(NotFoundError, store.get_range, key, 0, 1)
        store.delete(key)
    assert store.get("there/is/one") == b"x"


def check_ranges(store: Store) -> None:
    """Ranges are exact; one that is not all there is an error, never fewer bytes."""
    data = bytes(range(250))
    assert store.put_if_absent("ranged", data)
    for offset, length in ((0, 250), (0, 1), (249, 1), (100, 50), (250, 0), (0, 0)):
        assert store.get_range("ranged", offset, length) == data[offset : offset + length]
    for offset, length in ((0, 251), (249, 2), (250, 1), (1000, 1)):
        _raises(DamagedError, store.get_range, "ranged", offset, length)
    for offset, length in ((-1, 1), (0, -1)):
        _raises(UsageError, store.get_range, "ranged", offset, length)


def check_deleting(store: Store) -> None:
    """What was deleted is gone from reads and lists, and its neighbours are not."""
    for key in ("d/1", "d/10", "d/1x/2"):
        assert store.put_if_absent(key, b"")
    store.delete("d/1")
    store.delete("d/1")
    _raises(NotFoundError, store.get, "d/1")
    assert sorted(key for key, _ in store.list("d")) == ["d/10", "d/1x/2"]


def check_wrong_keys(store: Store) -> None:
    """Keys that lead elsewhere, or that some store cannot have, are refused by every method."""
    for key in ("", "/", "/a", "a/", "a//b", ".", "..", "a/../b", "../a", "a/.b", "a\0b", "a b", "ä", "a" * 2000):
        _raises(UsageError, store.put_if_absent, key, b"")
        _raises(UsageError, store.get, key)
        _raises(UsageError, store.get_range, key, 0, 0)
        _raises(UsageError, store.delete, key)
        if key:
            _raises(UsageError, _listed, store, key)


def check_cleaning(store: Store) -> None:
    """Cleaning takes no object away."""
    assert store.put_if_absent("clean/1", b"x")
    store.clean()
    assert store.get("clean/1") == b"x"


def _listed(store: Store, prefix: str) -> list[tuple[str, int]]:
    return list(store.list(prefix))


def _raises(kind: type[DrystoneError], action: Callable[..., object], *arguments: object) -> None:
    _raised(kind, lambda: action(*arguments))


def check_refusal(
    store: Store, kind: type[DrystoneError], says: str, *, hint: str, secrets: tuple[str, ...] = ()
) -> None:
    """Every operation fails so, in one line, and neither its text nor its traceback holds a secret."""
    operations: tuple[Callable[[], object], ...] = (
        lambda: store.put_if_absent("key", b"data"),
        lambda: store.get("key"),
        lambda: store.get_range("key", 0, 5),
        lambda: list(store.list("")),
        lambda: store.delete("key"),
    )
    for operation in operations:
        error = _raised(kind, operation)
        assert says in error.message, error.message
        assert hint in error.hint, error.hint
        assert "\n" not in str(error)
        shown = "".join(traceback.format_exception(error)) + repr(error.facts) + repr(store)
        assert not [secret for secret in secrets if secret in shown]
        assert error.__cause__ is None
        assert error.__context__ is None


def _raised(kind: type[DrystoneError], operation: Callable[[], object]) -> DrystoneError:
    try:
        operation()
    except kind as error:
        return error
    raise AssertionError(f"no {kind.__name__} was raised")


def check_parts(store: Store) -> None:
    """An object that comes in parts is seen when it is whole, and the first put wins. For stores that take parts."""
    if not isinstance(store, PartStore):
        return
    parts = store.begin("parts/a")
    parts.write(b"first, ")
    buffer = bytearray(b"second")
    parts.write(memoryview(buffer))
    buffer[:] = b"other "
    assert list(store.list("")) == []
    _raises(NotFoundError, store.get, "parts/a")
    assert parts.finish()
    parts.abandon()
    assert store.get("parts/a") == b"first, second"
    late = store.begin("parts/a")
    late.write(b"late")
    assert not late.finish()
    assert store.get("parts/a") == b"first, second"
    given_up = store.begin("parts/b")
    given_up.write(b"x" * 100_000)
    given_up.abandon()
    given_up.abandon()
    assert dict(store.list("")) == {"parts/a": 13}
    assert store.begin("parts/b").finish(), "no part at all"
    assert store.get("parts/b") == b""
    _raises(UsageError, store.begin, "a/../b")


CONFORMANCE: tuple[Callable[[Store], None], ...] = (
    check_put_and_get,
    check_first_put_wins,
    check_racing_puts,
    check_listing,
    check_missing,
    check_ranges,
    check_deleting,
    check_wrong_keys,
    check_cleaning,
    check_parts,
)
"""Every check takes an empty store."""
