"""`dvm metadata`, `dvm volactivate` and `dvm report`: documents in, documents out."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from drystone.base.documents import encode
from drystone.base.errors import DrystoneError, ExistsError, MismatchError, NotFoundError, RefusedError, UsageError
from drystone.cli.dvm import dvm
from drystone.cli.dvm.metadata import MUTATORS
from drystone.cli.lazy import LazyGroup
from drystone.dvm.discovery.devices import Devices, GroupDevice, GroupReference, Span
from drystone.dvm.groups.kinds import Snapshot, Striped
from drystone.dvm.groups.rules import parse_group
from drystone.dvm.program import parse_program
from drystone.dvm.state import parse_state
from drystone.kernel.dm.simulated import SimulatedDeviceMapper

MIB = 1 << 20


@pytest.fixture
def devices(tmp_path: Path) -> Path:
    found = tuple(GroupDevice(f"disk{at}", f"/dev/disk{at}", 66 * MIB, regions=(Span(1, 257),)) for at in range(3))
    path = tmp_path / "devices.json"
    path.write_bytes(encode(Devices(group=GroupReference("vg", "group-1"), devices=found)))
    return path


def run(*words: str, stdin: str = "", dm: SimulatedDeviceMapper | None = None) -> str:
    result = CliRunner().invoke(dvm, words, obj=dm or SimulatedDeviceMapper(), input=stdin)
    if isinstance(result.exception, DrystoneError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.stdout


def mutate(group: str, *words: str) -> str:
    return run("metadata", words[0], "--seed", words[0] + words[-1], *words[1:], stdin=group)


@pytest.fixture
def group(devices: Path) -> str:
    """db (linear), safe (raid1), pool with t1."""
    group = run("metadata", "init", "--devices", str(devices), "--extent-size", "1m", "--seed", "x")
    group = mutate(group, "create", "--size", "4m", "--tag", "hot", "db")
    group = mutate(group, "create", "--size", "4m", "--kind", "raid1", "safe")
    group = mutate(group, "thin-pool", "--size", "8m", "pool")
    return mutate(group, "thin", "--size", "1g", "pool", "t1")


def names(group: str) -> list[str]:
    return [volume.name for volume in parse_group(group).volumes if volume.part_of is None]


def test_a_group_from_what_was_found(group: str) -> None:
    found = parse_group(group)
    assert (found.name, found.uuid, found.extent_size, len(found.devices)) == ("vg", "group-1", MIB, 3)
    assert names(group) == ["db", "safe", "pool", "t1"]


MUTATIONS: list[tuple[str, ...]] = [
    ("create", "--size", "3m", "--kind", "striped", "--legs", "3", "--chunk", "4k", "--policy", "spread", "new"),
    ("create", "--size", "1m", "--kind", "raid1", "--nosync", "--on", "/dev/disk1", "--on", "disk2", "new"),
    ("extend", "--by", "1m", "db"),
    ("extend", "--size", "3m", "pool:meta"),
    ("reduce", "--size", "2m", "--lose-data", "db"),
    ("rename", "db", "data"),
    ("rename-group", "other"),
    ("remove", "db", "safe"),
    ("remove", "t1"),
    ("tag", "--add", "cold", "--drop", "hot", "db"),
    ("tag", "--add", "ssd", "disk1"),
    ("tag", "--add", "site=a"),
    ("snapshot", "t1", "monday"),
    ("snapshot", "--join", "t1", "monday"),
    ("snapshot", "--size", "1m", "--chunk", "8k", "db", "monday"),
    ("thin-pool", "--size", "4m", "--metadata-size", "3m", "--no-zeroing", "--error-if-full", "other"),
    ("thin", "--join", "--size", "1t", "pool", "t2", "t3"),
    ("mirror", "--legs", "3", "db"),
    ("unmirror", "--keep", "1", "safe"),
    ("repair", "--lost", "disk0", "safe"),
    ("add-leg", "--on", "disk2", "safe"),
    ("cache", "--size", "2m", "--block", "32k", "--mode", "writeback", "db"),
    ("era", "--block", "64k", "db"),
    ("crypt", "--key", "logon:db", "--lose-data", "db"),
    ("move", "/dev/disk0", "--only", "db", "--on", "disk1"),
    ("change-device", "--not-allocatable", "disk0"),
    ("change-device", "--path", "/dev/elsewhere", "disk0"),
]


@pytest.mark.parametrize("words", MUTATIONS, ids=[" ".join(words) for words in MUTATIONS])
def test_a_mutator_prints_the_new_group(group: str, words: tuple[str, ...]) -> None:
    result = run("metadata", *words, stdin=group)
    assert parse_group(result) != parse_group(group)


def test_options_that_only_click_reads_arrive(group: str) -> None:
    words = ["--size", "3m", "--kind", "striped", "--legs", "3", "--chunk", "4k"]
    striped = parse_group(run("metadata", "create", *words, "new", stdin=group)).volumes[-1]
    assert isinstance(striped, Striped)
    assert (len(striped.rows[0].legs), striped.chunk) == (3, 4096)
    words = ["--size", "1m", "--chunk", "8k"]
    snapped = parse_group(run("metadata", "snapshot", *words, "db", "monday", stdin=group))
    assert [each.chunk for each in snapped.volumes if isinstance(each, Snapshot)] == [8192]


def test_mutators_that_undo_each_other(group: str, devices: Path, tmp_path: Path) -> None:
    cached = run("metadata", "cache", "--size", "1m", "db", stdin=group)
    cleaner = run("metadata", "change-cache", "--policy", "cleaner", "db", stdin=cached)
    assert parse_group(run("metadata", "uncache", "--clean", "db", stdin=cleaner)) == parse_group(group)
    assert parse_group(run("metadata", "unera", "db", stdin=run("metadata", "era", "db", stdin=group))) == parse_group(
        group
    )
    moving = run("metadata", "move", "disk0", "--only", "db", stdin=group)
    assert parse_group(run("metadata", "move", "--abort", stdin=moving)) == parse_group(group)
    done = run("metadata", "move", "--finish", "--copied", stdin=moving)
    smaller = run("metadata", "drop-device", "disk0", stdin=run("metadata", "remove", "safe", "t1", "pool", stdin=done))
    assert len(parse_group(smaller).devices) == 2
    assert len(parse_group(run("metadata", "add-device", "--devices", str(devices), stdin=smaller)).devices) == 3
    document = json.loads(devices.read_text())
    document["devices"][1]["size"] += 4 * MIB
    devices.write_text(json.dumps(document))
    grown = parse_group(run("metadata", "refresh-devices", "--devices", str(devices), stdin=group))
    assert [device.extents for device in grown.devices] == [64, 68, 64]
    mended = run("metadata", "repair", "--lost", "disk0", "safe", stdin=group)
    run("metadata", "settle", "safe", stdin=mended)


REFUSALS: list[tuple[type[DrystoneError], tuple[str, ...]]] = [
    (ExistsError, ("create", "--size", "1m", "db")),
    (UsageError, ("create", "--size", "1q", "new")),
    (UsageError, ("create", "--size", "1m", "a b")),
    (NotFoundError, ("extend", "--by", "1m", "nothing")),
    (RefusedError, ("reduce", "--by", "1m", "db")),
    (UsageError, ("remove", "pool")),
    (UsageError, ("move",)),
    (UsageError, ("move", "--finish")),
    (UsageError, ("move", "--finish", "--abort")),
    (RefusedError, ("crypt", "--key", "logon:db", "db")),
]


@pytest.mark.parametrize(("kind", "words"), REFUSALS, ids=[" ".join(words) for _, words in REFUSALS])
def test_what_is_refused(group: str, kind: type[DrystoneError], words: tuple[str, ...]) -> None:
    with pytest.raises(kind) as caught:
        run("metadata", *words, stdin=group)
    assert caught.value.hint


def test_a_seed_makes_the_same_uuids(group: str) -> None:
    one, two = (run("metadata", "create", "--seed", "s", "--size", "1m", "new", stdin=group) for _ in range(2))
    assert one == two
    assert one != run("metadata", "create", "--size", "1m", "new", stdin=group)


def test_other_documents_are_refused() -> None:
    for text in ("null", "{}", '{"schema": "drystone.dvm.state"}', "x"):
        for words in (("metadata", "remove", "db"), ("report",), ("volactivate",)):
            with pytest.raises(UsageError) as caught:
                run(*words, stdin=text)
            assert "group.md" in caught.value.hint


def test_from_a_group_to_active_volumes(group: str, tmp_path: Path) -> None:
    state = parse_state(run("volactivate", stdin=group))
    assert {device.name for device in state.devices} > {"vg-db", "vg-safe", "vg-pool", "vg-t1"}
    only = parse_state(run("volactivate", "--only", "db", stdin=group))
    assert [device.name for device in only.devices] == ["vg-db"]
    program = parse_program(run("volactivate", "--blanks", stdin=group))
    assert {each.op for each in program.instructions} == {"write", "flush"}
    before = tmp_path / "before.json"
    before.write_text(group)
    assert parse_program(run("volactivate", "--blanks", "--before", str(before), stdin=group)).is_empty
    with pytest.raises(UsageError):
        run("volactivate", "--before", str(before), stdin=group)


def test_missing_devices_are_named(group: str, devices: Path, tmp_path: Path) -> None:
    document = json.loads(devices.read_text())
    document["devices"][0] |= {"path": "", "size": 0, "missing": True}
    left = tmp_path / "left.json"
    left.write_text(json.dumps(document))
    with pytest.raises(MismatchError, match=r"db is left out.*safe goes on degraded"):
        run("volactivate", "--devices", str(left), stdin=group)
    result = CliRunner().invoke(
        dvm, ["volactivate", "--partial", "--devices", str(left)], obj=SimulatedDeviceMapper(), input=group
    )
    assert result.exit_code == 0
    told = json.loads(result.stderr)
    assert [each["volume"] for each in told["left_out"]] == ["db", "pool", "t1"]
    assert [each["volume"] for each in told["degraded"]] == ["safe"]
    state = parse_state(result.stdout)
    assert {device.name for device in state.devices} == {"vg-safe", "vg-safe:meta1", "vg-safe:data1"}
    document["group"]["uuid"] = "other"
    left.write_text(json.dumps(document))
    with pytest.raises(MismatchError):
        run("volactivate", "--devices", str(left), stdin=group)


def rows(text: str) -> Any:
    return json.loads(text)


def test_reports(group: str, devices: Path) -> None:
    whole = rows(run("report", stdin=group))
    assert whole["schema"] == "drystone.dvm.report"
    assert {"vgs", "pvs", "lvs", "segments"} < set(whole)
    some = rows(run("report", "lvs", "--devices", str(devices), stdin=group))
    assert [row["name"] for row in some["lvs"]] == ["db", "pool", "safe", "t1"]
    assert "pvs" not in some
    text = run("report", "lvs", "pvs", "--text", stdin=group)
    assert "4.0 MiB" in text
    assert text.splitlines()[0].split() == ["PATH", "GROUP", "SIZE", "FREE", "ALLOCATABLE", "MISSING", "TAGS"]
    lvm = rows(run("report", "lvs", "--lvm-json", stdin=group))
    assert lvm["report"][0]["lv"][0]["lv_name"] == "db"


def test_live_reports(group: str, tmp_path: Path) -> None:
    dm = SimulatedDeviceMapper()
    live = run("report", "live", stdin=group, dm=dm)
    state = tmp_path / "live.json"
    state.write_text(live)
    for words in (("--live",), ("--state", str(state))):
        found = rows(run("report", "lvs", *words, stdin=group, dm=dm))
        assert [row["live"]["active"] for row in found["lvs"]] == [False] * 4
    assert "ACTIVE" in run("report", "lvs", "--live", "--text", stdin=group, dm=dm)
    for wrong in (("--live", "--state", str(state)), ("--text", "--lvm-json"), ("xvs",), ("live", "lvs")):
        with pytest.raises(UsageError):
            run("report", *wrong, stdin=group, dm=dm)


def commands() -> Iterator[str]:
    metadata = dvm.get_command(None, "metadata")  # type: ignore[arg-type]  # no context is needed to look one up
    assert isinstance(metadata, LazyGroup)
    yield from metadata.list_commands(None)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", MUTATORS)
def test_every_mutator_explains_itself(name: str) -> None:
    assert name in set(commands())
    assert run("metadata", name, "--help").startswith("Usage:")
