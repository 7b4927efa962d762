"""Power cuts under a disk of the fleet: every state that a file system may leave is made, opened and looked at.

What a file system may do when the power goes, here: of the names made, renamed, linked and removed since their folder
was synced any may be there or not (a rename as one step); of a file that was not synced nothing, half or all. The
index is what its last commit made it (SQLite's own promise with synchronous=FULL). That is more than ext4, xfs and
btrfs do, which keep the order of names.
"""

from __future__ import annotations

import itertools
import os
import random
import sqlite3
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from blake3 import blake3

from drystone.fleet.disk.files import DiskFiles

Kind = Literal[
    "create", "rename", "link", "unlink", "folder", "no folder", "sync folder", "write", "cut", "sync", "index", ""
]


@dataclass(frozen=True, slots=True)
class Event:
    """Something that was done. :ivar data: written bytes, or the whole index. :ivar file: number of the inode."""

    kind: Kind
    place: str = ""
    target: str = ""
    file: int = -1
    offset: int = 0
    data: bytes = b""

    def folder(self) -> str:
        """The folder whose sync makes the change of names durable; of a rename that of the new name."""
        return parent(self.target or self.place)


_NAMES = frozenset({"create", "rename", "link", "unlink", "folder", "no folder"})


def parent(place: str) -> str:
    """The folder that holds it."""
    return place.rpartition("/")[0]


@dataclass(slots=True)
class Tree:
    """A file system in memory: names of files (inode numbers) and of folders."""

    files: dict[str, int] = field(default_factory=dict)
    folders: set[str] = field(default_factory=lambda: {""})

    def do(self, event: Event) -> None:
        """What the event did to names; nothing where it cannot be done."""
        at, to = event.place, event.target
        if event.kind == "create" and parent(at) in self.folders:
            self.files[at] = event.file
        elif event.kind == "folder":
            if parent(at) in self.folders and at not in self.files:
                self.folders.add(at)
        elif event.kind == "no folder":
            if not any(parent(each) == at for each in (*self.files, *self.folders - {""})):
                self.folders.discard(at)
        elif event.kind == "unlink":
            self.files.pop(at, None)
        elif event.kind in {"rename", "link"} and at in self.files and parent(to) in self.folders:
            if to in self.folders or (event.kind == "link" and to in self.files):
                return
            self.files[to] = self.files[at] if event.kind == "link" else self.files.pop(at)


class RecordedFiles(DiskFiles):
    """A real folder, and a record of all that is done to it."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.events: list[Event] = []
        self._handles: dict[int, tuple[int, int]] = {}
        self._inodes = itertools.count()
        self._numbers: dict[tuple[int, int], int] = {}
        self._guard = threading.Lock()

    def on_commit(self, connection: sqlite3.Connection) -> None:
        """Of the index: what it is now."""
        self._add(Event("index", data=connection.serialize()))

    def create(self, place: str) -> int:
        handle = super().create(place)
        number = next(self._inodes)
        self._numbers[_inode(handle)] = number
        self._handles[handle] = (number, 0)
        self._add(Event("create", place, file=number))
        return handle

    def open(self, place: str, *, write: bool = False) -> int:
        handle = super().open(place, write=write)
        self._handles[handle] = (self._numbers[_inode(handle)], 0)
        return handle

    def write(self, handle: int, data: bytes | memoryview) -> None:
        number, offset = self._handles[handle]
        super().write(handle, data)
        self._handles[handle] = (number, offset + len(data))
        self._add(Event("write", file=number, offset=offset, data=bytes(data)))

    def write_at(self, handle: int, data: bytes | memoryview, offset: int) -> None:
        super().write_at(handle, data, offset)
        self._add(Event("write", file=self._handles[handle][0], offset=offset, data=bytes(data)))

    def copy(self, source: int, target: int, begin: int, count: int) -> None:
        self.write(target, os.pread(source, count, begin))

    def truncate(self, handle: int, size: int) -> None:
        super().truncate(handle, size)
        self._add(Event("cut", file=self._handles[handle][0], offset=size))

    def sync(self, handle: int) -> None:
        self._add(Event("sync", file=self._handles[handle][0]))

    def rename(self, source: str, target: str) -> None:
        super().rename(source, target)
        self._add(Event("rename", source, target))

    def link(self, source: str, target: str) -> None:
        super().link(source, target)
        self._add(Event("link", source, target))

    def unlink(self, place: str) -> bool:
        found = super().unlink(place)
        if found:
            self._add(Event("unlink", place))
        return found

    def make_folders(self, place: str) -> None:
        missing = []
        at = place
        while at and not self.exists(at):
            missing.append(at)
            at = parent(at)
        super().make_folders(place)
        for each in reversed(missing):
            self._add(Event("folder", each))

    def remove_folder(self, place: str) -> None:
        super().remove_folder(place)
        self._add(Event("no folder", place))

    def sync_folder(self, place: str) -> None:
        self._add(Event("sync folder", place))

    def _add(self, event: Event) -> None:
        with self._guard:
            self.events.append(event)


def _inode(handle: int) -> tuple[int, int]:
    """Of an open file: its number may be used again after it is gone, which a new `create` then says."""
    found = os.fstat(handle)
    return found.st_dev, found.st_ino


@dataclass(frozen=True, slots=True)
class CrashState:
    """A file system after the power went off before event `at`. :ivar lost: events whose names are not there."""

    at: int
    tree: Tree
    contents: dict[int, bytes]
    index: bytes
    lost: tuple[int, ...]

    def digest(self) -> bytes:
        """Equal for equal states."""
        hasher = blake3(self.index)
        hasher.update(repr((sorted(self.tree.folders), sorted(self.tree.files.items()))).encode())
        hasher.update(repr([(each, self.contents.get(each)) for each in sorted(self.tree.files.values())]).encode())
        return hasher.digest()

    def write_to(self, root: Path) -> None:
        """Make it below an empty folder."""
        for folder in sorted(self.tree.folders - {""}):
            (root / folder).mkdir(parents=True, exist_ok=True)
        by_number: dict[int, Path] = {}
        for place, number in sorted(self.tree.files.items()):
            path = root / place
            if number in by_number:
                path.hardlink_to(by_number[number])
            else:
                path.write_bytes(self.contents.get(number, b""))
                by_number[number] = path
        (root / ".drystone/index.db").write_bytes(self.index)


def crash_states(events: list[Event], start: Tree, made: bytes, at: int, most: int, seed: int) -> Iterator[CrashState]:
    """States after a power cut before event `at`: all of them, or `most` when there are more, chosen by `seed`.

    :param start: what was durable before the first event; :param made: the index then.
    """
    done = events[:at]
    unsure = [number for number, each in enumerate(done) if each.kind in _NAMES and not _is_durable(done, number)]
    chooser = random.Random(f"{seed}.{at}")  # noqa: S311  # a test's choice
    index = next((each.data for each in reversed(done) if each.kind == "index"), made)
    for lost in _subsets(unsure, most, chooser):
        tree = Tree(dict(start.files), set(start.folders))
        gone = set(lost)
        for number, each in enumerate(done):
            if each.kind in _NAMES and number not in gone:
                tree.do(each)
        yield CrashState(at, tree, _contents(done, chooser), index, lost)


def _is_durable(done: list[Event], number: int) -> bool:
    folder = done[number].folder()
    return any(each.kind == "sync folder" and each.place == folder for each in done[number + 1 :])


def _subsets(unsure: list[int], most: int, chooser: random.Random) -> Iterator[tuple[int, ...]]:
    """Which events are lost: every choice when they are few; else none, all, and others by chance."""
    if 1 << len(unsure) <= most:
        for count in range(len(unsure) + 1):
            yield from itertools.combinations(unsure, count)
        return
    likely = [*(tuple(unsure[each:]) for each in range(1, len(unsure))), *((each,) for each in unsure)]
    likely += [tuple(each for each in unsure if chooser.random() < 0.5) for _ in range(most)]
    yield ()
    yield tuple(unsure)
    yield from chooser.sample(likely, most - 2)


def _contents(done: list[Event], chooser: random.Random) -> dict[int, bytes]:
    """Files as they may be: what was synced is there, what came later is not, or half, or all."""
    sure: dict[int, bytes] = {}
    seen: dict[int, bytes] = {}
    for each in done:
        if each.kind == "write":
            old = seen.get(each.file, b"").ljust(each.offset, b"\0")
            seen[each.file] = old[: each.offset] + each.data + old[each.offset + len(each.data) :]
        elif each.kind == "cut":
            seen[each.file] = seen.get(each.file, b"")[: each.offset]
        elif each.kind == "sync":
            sure[each.file] = seen.get(each.file, b"")
    for number, content in seen.items():
        if sure.get(number) != content:
            sure[number] = chooser.choice([sure.get(number, b""), content, content[: len(content) // 2], content[::-1]])
    return sure
