"""docs/reference/disk-layout.md says what the code does: places, the identity, the tables of the index, documents; and
the program that stands there finds everything. What a power cut leaves: tests/fault/fleet/test_disk_crashes.py."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import get_args

import msgspec
import pytest

from drystone.fleet.disk import places
from drystone.fleet.disk.changes import PartRecord
from drystone.fleet.disk.identity import Identity, initialize
from drystone.fleet.disk.index import FORMAT
from drystone.fleet.documents import Member, MemberState, Placement, Policy
from drystone.fleet.objects import ObjectInfo, UploadInfo
from drystone.testing.fleet.disk_world import PLACEMENT, DiskWorld

PAGE = (Path(__file__).parents[4] / "docs" / "reference" / "disk-layout.md").read_text()
PROGRAM = PAGE.partition("```python")[2].partition("```")[0]


def section(heading: str) -> str:
    """What stands below a heading, up to the next one."""
    found = re.search(rf"^#+ {re.escape(heading)}\n(.*?)(?=^#+ |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    assert found is not None, heading
    return found[1]


def rows(text: str) -> list[list[str]]:
    """Of the table in a text, without its head."""
    lines = [line.strip("|").split("|") for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line] for line in lines[2:]]


def run_program(root: Path) -> set[tuple[str, ...]]:
    """Its lines, as people have them."""
    done = subprocess.run([sys.executable, "-c", PROGRAM, str(root)], capture_output=True, check=True, text=True)
    return {tuple(line.split("\t")) for line in done.stdout.splitlines()}


def test_every_place_is_told() -> None:
    told = {row[0].strip("`") for row in rows(section("Places"))}
    for folder in (places.TEMP, places.ODD, places.VERSIONS, places.PARTS):
        assert f"{folder}/NAME" in told
    assert {f"{slot}/FOLDER/PATH" for slot in places.SLOTS} <= told
    assert {places.IDENTITY, places.INDEX, places.BALLAST, places.LOCK} <= told
    assert {*places.FOLDERS} == {places.OWN, *(each.rpartition("/")[0].removesuffix("/FOLDER") for each in told)} & {
        *places.FOLDERS
    }


def test_the_identity_is_the_one_that_is_told(tmp_path: Path) -> None:
    initialize(tmp_path, "fleet")
    found = json.loads((tmp_path / places.IDENTITY).read_text())
    told = re.findall(r'^      "(\w+)":', section("disk.json"), re.MULTILINE)
    assert told == list(found) == [each.name for each in msgspec.structs.fields(Identity)]
    assert f"format {found['format']}\n" in PAGE.splitlines(keepends=True)[0]


def test_every_table_and_column_is_told(tmp_path: Path) -> None:
    initialize(tmp_path, "fleet")
    index = sqlite3.connect(tmp_path / places.INDEX)
    tables = [name for (name,) in index.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    columns = {name: index.execute(f"PRAGMA table_info({name})").fetchall() for name in tables}
    index.close()
    assert f"`PRAGMA user_version` {FORMAT}," in section("The index")
    told = re.findall(r"^### (\w+)$", PAGE, re.MULTILINE)
    assert set(told) == {name for name in tables if not name.startswith("sqlite_")}
    for name in told:
        text = section("objects" if name == "versions" else name)
        assert [row[:2] for row in rows(text)] == [[column, kind] for _, column, kind, *_ in columns[name]], name
        key = [column for _, column, _, _, _, position in sorted(columns[name], key=lambda each: each[5]) if position]
        spelt = re.search(r"Primary key: ([^.(]*?)(?: \(descending\))?\.", section(name))
        assert (spelt[1].split(", ") if spelt else [row[0] for row in rows(text) if "primary key" in row[2]]) == key


def test_the_fields_of_documents_are_told() -> None:
    def fields(kind: type[msgspec.Struct]) -> set[str]:
        return {each.name for each in msgspec.structs.fields(kind)}

    def told(text: str) -> set[str]:
        return set(re.findall(r"`(\w+)`", text))

    placement = section("placements")
    assert fields(Placement) | fields(Member) <= told(placement)
    assert {*get_args(MemberState), *get_args(Policy), *places.SLOTS} <= told(placement)
    row = {"key", "size", "modified", "etag", "digest", "seq", "version_id", "latest", "delete_marker"}
    assert set(ObjectInfo.__dataclass_fields__) - row <= told(section("objects").partition("document of `extra`")[2])
    assert fields(PartRecord) <= told(section("parts"))
    assert set(UploadInfo.__dataclass_fields__) <= told(section("uploads"))


@pytest.mark.parametrize("is_open", [True, False])
def test_the_program_finds_everything(world: DiskWorld, is_open: bool, tmp_path: Path) -> None:
    """Also on a disk that was not closed, whose log has what its index has not."""
    for key in ("h/a", "h/a/b", "h/..", "h/ü/x y"):
        world.put(key)
    for version in ("1", "2"):
        world.put("h/v", 2000, version)
    world.put("h/gone", 5, "1")
    world.mark("h/gone", "2")
    world.upload("h/parts", (1 << 20, 7))
    before = world.disk.root
    (held,) = world.disk.held()
    root = tmp_path / "pulled"
    if not is_open:
        world.disk.close()
    shutil.copytree(before, root)
    found = run_program(root)
    assert {(key, version) for _, key, version, *_ in found} == set(world.state)
    for namespace, key, version, state, size, *place in found:
        data = world.state[key, version].data
        assert namespace == held.placement.namespace
        assert int(size) == len(data or b"")
        assert (state == "deleted") == (data is None)
        assert (root / place[0]).read_bytes() == data if data is not None else place == [""]
    latest = {key for _, key, _, state, *_ in found if state == "latest"}
    assert latest == {"h/a", "h/a/b", "h/..", "h/ü/x y", "h/v", "h/parts"}
    assert (root / "primary/h/a").is_file()
    assert (root / "primary/h/ü/x y").is_file()
    assert PLACEMENT not in {each.name for each in root.rglob("*")}


def test_the_sums_are_the_ones_that_are_told(world: DiskWorld) -> None:
    from blake3 import blake3

    world.put("h/long", (2 << 20) + 5)
    index = sqlite3.connect(world.disk.root / places.INDEX)
    ((pieces, digest, etag),) = index.execute("SELECT pieces, digest, etag FROM objects").fetchall()
    index.close()
    data = (world.disk.root / "primary/h/long").read_bytes()
    wanted = [blake3(data[at : at + (1 << 20)]).digest() for at in range(0, len(data), 1 << 20)]
    assert [pieces[at : at + 32] for at in range(0, len(pieces), 32)] == wanted
    assert digest == blake3(pieces).digest()
    assert etag == hashlib.md5(data).hexdigest()  # S3's
