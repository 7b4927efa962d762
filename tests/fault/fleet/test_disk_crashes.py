"""A power cut before every step of what a disk does: what was acknowledged is there, and nothing else."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from drystone.base.errors import DamagedError
from drystone.fleet.disk.identity import initialize
from drystone.fleet.objects import PutOptions, UploadInfo
from drystone.testing.fleet.disk_crashes import Event, RecordedFiles, Tree, crash_states
from drystone.testing.fleet.disk_world import FLEET, PLACEMENT, DiskWorld, State, make_disk, quick_folder, try_state

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "disk-layout.md"
MOST = int(os.environ.get("DRYSTONE_CRASH_STATES", "8"))
"""States tried for each place of a power cut."""

Step = Callable[[DiskWorld], None]


def restart(world: DiskWorld) -> None:
    """Everything is settled, and opened again."""
    world.disk.close()
    world.disk.open(FLEET)


def begin_parts(world: DiskWorld) -> None:
    """An upload with a part, which stays under way."""
    world.disk.begin_upload(PLACEMENT, UploadInfo("h/up", "u9", 5.0, PutOptions()))
    world.put_part("u9", 1, b"abc")


SCENARIOS: dict[str, list[Step]] = {
    "objects": [
        lambda world: world.put("h/a/b"),
        lambda world: world.put("h/a/b", 30, leads=False),
        lambda world: world.put("h/a"),
        lambda world: world.put("h/a/"),
        lambda world: world.remove("h/a/b"),
        lambda world: world.put("h/a/b/c", 9, leads=False),
        lambda world: world.remove("h/a"),
        lambda world: world.put("h/a", 5),
        lambda world: world.put("h/a/b", 0),
        lambda world: world.remove("h/a/b/c"),
        lambda world: world.put("h/last/one"),
        lambda world: world.put("h/last_one"),
    ],
    "versions": [
        lambda world: world.put("h/v", 10, "1"),
        lambda world: world.put("h/v", 11, "2"),
        lambda world: world.put("h/v", 12, "3", leads=False),
        lambda world: world.remove("h/v", "3"),
        lambda world: world.mark("h/v", "4"),
        lambda world: world.put("h/v", 13, "5"),
        lambda world: world.remove("h/v", "5"),
        lambda world: world.remove("h/v", "4"),
        lambda world: world.remove("h/v", "1"),
        lambda world: world.put("h/v", 14, "2"),
        lambda world: world.remove("h/v", "2"),
        lambda world: world.put("h/v", 15),
    ],
    "intents": [
        lambda world: world.put("h/i"),
        lambda world: world.give_up("h/i", dirty=True),
        lambda world: world.give_up("h/j", dirty=False),
        lambda world: world.put("h/j", leads=False),
        lambda world: world.give_up("h/j", dirty=True),
    ],
    "parts": [
        lambda world: world.put("h/p"),
        lambda world: world.upload("h/p", (30, 20)),
        lambda world: world.remove("h/p"),
    ],
    "restarts": [
        lambda world: world.put("h/a/b"),
        restart,
        lambda world: world.put("h/a/b", 21),
        begin_parts,
        lambda world: world.put("h/v", 11, "1"),
        lambda world: world.put("h/v", 12, "2"),
        restart,
        lambda world: world.remove("h/v", "2"),
        restart,
    ],
}


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_power_cut_at_every_step(name: str) -> None:
    with quick_folder() as folder:
        try_scenario(name, folder)


@pytest.mark.parametrize(
    ("name", "kind", "place"),
    [
        ("objects", "sync", ""),
        ("objects", "sync folder", ".drystone/temp"),
        ("objects", "sync folder", "primary/h"),
        ("objects", "sync folder", "primary"),
        ("versions", "sync folder", ".drystone/versions"),
        ("versions", "sync folder", "primary/h"),
        ("restarts", "sync folder", ".drystone/parts"),
    ],
)
def test_a_sync_that_is_left_out_is_noticed(name: str, kind: str, place: str) -> None:
    with quick_folder() as folder, pytest.raises((AssertionError, DamagedError)):
        try_scenario(name, folder, lambda event: event.kind == kind and event.place == place)


def load_program() -> Callable[[str], list[tuple[str, str, str, str, int, str]]]:
    """The one of docs/reference/disk-layout.md, which people run on disks that no server has opened since."""
    names: dict[str, Any] = {}
    exec(PAGE.read_text().partition("```python")[2].partition("```")[0], names)  # it is our own
    return names["read_disk"]  # type: ignore[no-any-return]


def try_scenario(name: str, folder: Path, left_out: Callable[[Event], bool] | None = None) -> None:
    """Do all steps, then look at what every power cut on the way may have left.

    :param left_out: syncs that did nothing. Without, the program of the reference page must find what is there, too.
    """
    root = folder / "disk"
    root.mkdir()
    initialize(root, FLEET)
    index = (root / ".drystone/index.db").read_bytes()
    read_disk = load_program()
    files = RecordedFiles(root)
    disk = make_disk(root, files, on_commit=files.on_commit)
    start = Tree({".drystone/disk.json": -1}, {"", ".drystone", "primary", "secondary"})
    start.folders |= {f".drystone/{each}" for each in ("temp", "odd", "versions", "parts")}
    identity = (root / ".drystone/disk.json").read_bytes()
    world = DiskWorld(disk)
    # (position, the state that must be there from it on, the one that may be there)
    history: list[tuple[int, State, set[str]]] = [(0, {}, set())]
    for step in SCENARIOS[name]:
        step(world)
        history.append((len(files.events), dict(world.state), set(world.dirty)))
    disk.close()
    history.append((len(files.events), dict(world.state), set(world.dirty)))
    events = [Event("") if left_out is not None and left_out(each) else each for each in files.events]
    seen: set[bytes] = set()
    for at in reversed(range(len(events) + 1)):
        before = max(number for number, each in enumerate(history) if each[0] <= at)
        allowed = [history[before][1], history[min(before + 1, len(history) - 1)][1]]
        for state in crash_states(events, start, index, at, MOST, seed=1):
            state.contents[-1] = identity
            if (digest := state.digest() + repr(allowed).encode()) in seen:
                continue
            seen.add(digest)
            where = folder / f"{at}"
            where.mkdir()
            state.write_to(where)

            def tell(at: int = at, lost: tuple[int, ...] = state.lost) -> str:
                lines = [
                    f"{number} {each.kind} {each.place} {each.target}{' LOST' if number in lost else ''}"
                    for number, each in enumerate(events[:at])
                ]
                return "\n".join(lines)

            if left_out is None:
                found = {(key, version): place for _, key, version, _, _, place in read_disk(str(where))}
                held = {each: (where / place).read_bytes() if place else None for each, place in found.items()}
                assert held in [{each: version.data for each, version in them.items()} for them in allowed], tell()
            try_state(where, allowed, history[before][2], tell)
            shutil.rmtree(where)
    assert len(seen) > len(events) / 2
