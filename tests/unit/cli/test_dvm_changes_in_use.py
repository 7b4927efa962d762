"""`dvm activate`, `boot`, `resize`, `replace`, and the mutators of legs and snapshots that go back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from drystone.base.documents import encode
from drystone.base.errors import DrystoneError, ExistsError, NotFoundError, RefusedError, UsageError
from drystone.cli.dvm.group import dvm
from drystone.dvm.groups.group import Group, uuid_prefix
from drystone.dvm.groups.kinds import Raid1, Snapshot, Thin
from drystone.dvm.groups.rules import parse_group
from drystone.dvm.metadata.create import Wish, create
from drystone.dvm.metadata.snapshot import begin_merge, snapshot
from drystone.dvm.metadata.thin import thin, thin_pool, thin_snapshot
from drystone.dvm.reports.live import Live, LiveDevice, LiveTarget
from drystone.kernel.dm.simulated import SimulatedDeviceMapper
from drystone.testing.groups import find, ids, make_group
from drystone.testing.live_groups import FileGroup

MIB = 1 << 20


def call(*words: str, stdin: bytes = b"", dm: SimulatedDeviceMapper | None = None) -> str:
    result = CliRunner().invoke(dvm, words, obj=dm or SimulatedDeviceMapper(), input=stdin)
    if isinstance(result.exception, DrystoneError):
        raise result.exception
    assert result.exit_code == 0, (result.output, result.exception)
    return result.stdout


class Machine:
    """A group without volumes on files: device-mapper can use none of them."""

    def __init__(self, folder: Path) -> None:
        self.world = FileGroup(folder, disks=3)
        self.configuration = folder / "dvm.toml"
        self.configuration.write_text(f"[discover]\ndevices = false\nfiles = {json.dumps(self.world.paths)}\n")

    def run(self, *words: str) -> Any:
        return json.loads(call("-c", str(self.configuration), *words))


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_activate_names_what_it_did_for_each_group(machine: Machine) -> None:
    expected = {"group": "vg", "sequence": 1}
    for words in (("vg",), ("--all",), ("vg", "--partial", "--wait", "1"), ("vg", "--off"), ("vg", "--dry-run")):
        found = machine.run("activate", *words)
        assert found["schema"] == "drystone.dvm.activation"
        assert found["groups"] == [expected]
        assert found["dry_run"] == ("--dry-run" in words)
    assert call("-c", str(machine.configuration), "activate", "vg", "--text") == "vg: version 1, nothing to do\n"


def test_activate_of_what_is_not_there(machine: Machine) -> None:
    result = CliRunner().invoke(
        dvm, ["-c", str(machine.configuration), "activate", "vg", "nobody"], obj=SimulatedDeviceMapper()
    )
    assert isinstance(result.exception, NotFoundError)
    groups = json.loads(result.stdout)["groups"]
    assert [(each["group"], each.get("code")) for each in groups] == [("vg", None), ("nobody", "not-found")]


@pytest.mark.parametrize("words", [(), ("--all", "vg"), ("--only", "db", "--all"), ("--only", "db", "one", "two")])
def test_activate_wants_to_know_what(words: tuple[str, ...]) -> None:
    with pytest.raises(UsageError):
        call("activate", *words)


def test_replace_takes_an_empty_device_out(machine: Machine) -> None:
    paths = machine.world.paths
    rehearsed = machine.run("replace", "vg", paths[2], "--dry-run")
    assert (rehearsed["steps"], rehearsed["done"]) == ([f"{paths[2]} leaves the group"], False)
    done = machine.run("replace", "vg", paths[2])
    assert (len(done["steps"]), done["done"]) == (2, True)
    assert {each["path"] for each in machine.run("discover", "find", "vg")["devices"]} == set(paths[:2])
    with pytest.raises(NotFoundError):
        machine.run("replace", "vg", paths[2])
    text = call("-c", str(machine.configuration), "replace", "vg", paths[1], "--text")
    assert text.splitlines()[-2] == f"{paths[1]} leaves the group"
    with pytest.raises(UsageError):
        machine.run("replace", "vg", paths[0], "--devices", "x.json")


def test_recover_brings_devices_along(machine: Machine) -> None:
    paths = machine.world.paths
    machine.configuration.write_text(f"[discover]\ndevices = false\nfiles = {json.dumps(paths[:2])}\n")
    found = machine.configuration.parent / "found.json"
    found.write_text(json.dumps(machine.run("discover", "find", "vg")))
    done = machine.run("transact", "recover", "vg", "--devices", str(found), "--activate")
    assert done["changed"]
    assert len(done["devices"]) == 2


def test_resize_wants_one_size(machine: Machine) -> None:
    for words in ((), ("--size", "1g", "--by", "1g"), ("--by", "1g", "--less", "1g")):
        with pytest.raises(UsageError):
            machine.run("resize", "vg", "db", *words)
    with pytest.raises(NotFoundError, match="no volume 'db'"):
        machine.run("resize", "vg", "db", "--by", "1g")


def test_boot_writes_its_files(tmp_path: Path) -> None:
    done = json.loads(call("boot", "--program", "/usr/bin/dvm", str(tmp_path)))
    assert [each["state"] for each in done["files"]] == ["new"] * 5
    unit = next(path for path in tmp_path.rglob("*.service"))
    assert "ExecStart=/usr/bin/dvm " in unit.read_text()
    unit.write_text("")
    with pytest.raises(ExistsError):
        call("boot", "--program", "/usr/bin/dvm", str(tmp_path))
    call("boot", "--overwrite", "--program", "/usr/bin/dvm", str(tmp_path))
    assert unit.read_text()


def mutated(group: Group, *words: str) -> Group:
    return parse_group(call("metadata", *words, stdin=encode(group)))


def test_legs() -> None:
    group = create(make_group(), Wish("db", 4 * MIB), ids(), "raid1")
    more = mutated(group, "add-leg", "db", "--on", "disk3")
    volume = find(more, "db")
    assert isinstance(volume, Raid1)
    assert len(volume.legs) == 3
    words: tuple[str, ...]
    for words in (("--leg", "2"), ("--on", "disk3")):
        less = find(mutated(more, "drop-leg", "db", *words), "db")
        assert isinstance(less, Raid1)
        assert len(less.legs) == 2
    for words in ((), ("--leg", "0", "--on", "disk0")):
        with pytest.raises(UsageError):
            mutated(more, "drop-leg", "db", *words)


def test_a_thin_volume_goes_back() -> None:
    group = thin(thin_pool(make_group(), "pool", 8 * MIB, ids()), "pool", ["db"], MIB, ids("t"))
    group = thin_snapshot(group, "db", "monday", ids("m"))
    volume = find(mutated(group, "rollback", "db", "monday"), "db")
    assert isinstance(volume, Thin)
    assert volume.dev_id == 2


def test_a_volume_goes_back(tmp_path: Path) -> None:
    group = snapshot(create(make_group(), Wish("db", 4 * MIB), ids()), "db", "monday", ids("m"), size=MIB)
    merging = mutated(group, "merge", "monday")
    volume = find(merging, "monday")
    assert isinstance(volume, Snapshot)
    assert volume.merging
    assert merging == begin_merge(group, "monday")
    state = tmp_path / "live.json"
    uuid = f"{uuid_prefix(group)}{find(group, 'db').uuid}"
    for status, is_done in (("24/2048 16", False), ("16/2048 16", True)):
        target = LiveTarget(0, 8192, "snapshot-merge", status)
        state.write_bytes(encode(Live((LiveDevice("vg-db", uuid, targets=(target,)),))))
        if is_done:
            assert len(mutated(merging, "merge", "--finish", "--live", str(state)).volumes) == 1
        else:
            with pytest.raises(RefusedError):
                mutated(merging, "merge", "--finish", "--live", str(state))
    assert len(mutated(merging, "merge", "--finish", "--merged", "monday").volumes) == 1
    for words in ((), ("--finish",), ("--merged", "monday"), ("--finish", "--merged", "--live", str(state))):
        with pytest.raises(UsageError):
            mutated(merging, "merge", *words)
