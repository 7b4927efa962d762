"""`dvm discover` and `dvm transact` on plain files, in this process."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from drystone.base.documents import encode
from drystone.base.errors import (
    DrystoneError,
    ExistsError,
    MismatchError,
    NotFoundError,
    RefusedError,
    UsageError,
)
from drystone.cli.dvm.discover import discover
from drystone.cli.dvm.transact import transact
from drystone.dvm.discovery.devices import parse_devices
from drystone.dvm.metadata.create import Wish, create
from drystone.dvm.metadata.devices import new_group
from drystone.dvm.metadata.edit import seeded_ids
from drystone.kernel.dm.simulated import SimulatedDeviceMapper


class Machine:
    """Files that stand for devices, and a configuration that looks nowhere else."""

    def __init__(self, folder: Path, *names: str) -> None:
        self.folder = folder
        self.files = [str(folder / name) for name in names]
        for file in self.files:
            with Path(file).open("xb") as stream:
                stream.truncate(4 << 20)
        self.config = folder / "dvm.toml"
        self.config.write_text(f"[discover]\ndevices = false\nfiles = {json.dumps(self.files)}\n")

    def discover(self, *words: str) -> str:
        return run(discover, [words[0], "-c", str(self.config), *words[1:]])

    def transact(self, *words: str, stdin: str | None = None) -> str:
        verb, group, *rest = words
        devices = self.discover("find", "vg") if stdin is None else stdin
        return run(transact, [verb, "-c", str(self.config), group, *rest], devices)


def run(command: Any, words: list[str], stdin: str = "") -> str:
    result = CliRunner().invoke(command, words, input=stdin)
    if isinstance(result.exception, DrystoneError):
        raise result.exception
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A group of two files, metadata {"n": 1} at @2."""
    made = Machine(tmp_path, "one", "two", "three")
    made.discover("add", "vg", made.files[0], "1:65")
    made.discover("add", "vg", made.files[1])
    made.transact("expand", "vg")
    made.transact("update", "vg", "--", "echo", '{"n": 1}')
    return made


def test_the_whole_way(machine: Machine) -> None:
    assert json.loads(machine.transact("read", "vg")) == {"n": 1}
    planned = json.loads(machine.transact("update", "vg", "--dry-run", "--", "echo", '{"n": 2}'))
    assert (planned["dry_run"], planned["changes"]) == (True, [{"kind": "changed", "path": "n", "old": 1, "new": 2}])
    done = json.loads(machine.transact("update", "vg", "--", "echo", '{"n": 2}'))
    assert done["command"] == ["update", "echo", '{"n": 2}']
    assert machine.transact("diff", "vg", "--text") == "~ n: 1 -> 2\n"
    assert json.loads(machine.transact("diff", "vg", "@1", "@2"))["changes"][0]["new"] == {"n": 1}
    assert json.loads(machine.transact("read", "vg", "--version", "@2")) == {"n": 1}
    machine.transact("revert", "vg", "@2")
    lines = machine.transact("log", "vg", "--text").splitlines()
    assert [line.split()[0] for line in lines] == ["VERSION", "@4", "@3", "@2", "@1", "@0"]
    assert lines[1].endswith("revert @2")
    machine.discover("add", "vg", machine.files[2])
    assert machine.transact("verify", "vg", "--text").startswith("vg: complete\n  ")
    machine.transact("expand", "vg")
    assert len(json.loads(machine.transact("verify", "vg"))["devices"]) == 3
    machine.transact("reduce", "vg", machine.files[2])
    machine.discover("rm", "vg", machine.files[2])
    assert json.loads(machine.transact("verify", "vg"))["findings"] == []
    assert machine.discover("find", "vg", "--text").count("\n") == 3
    assert machine.discover("list", "--text").splitlines()[1].split()[0] == "vg"


def test_several_devices_and_regions(tmp_path: Path) -> None:
    machine = Machine(tmp_path, "one", "two")
    machine.discover("add", "vg", *machine.files, "100:120", "1:65")
    devices = json.loads(machine.discover("find", "vg"))["devices"]
    spans = [{"begin": 1, "end": 65}, {"begin": 100, "end": 120}]
    assert [each["regions"] for each in devices] == [spans, spans]
    machine.transact("expand", "vg")
    assert json.loads(machine.transact("verify", "vg"))["complete"]
    with pytest.raises(UsageError, match="no device was named"):
        machine.discover("add", "vh", "1:65")


def test_devices_by_their_paths(machine: Machine) -> None:
    words = [word for file in machine.files[:2] for word in ("--device", file)]
    assert json.loads(run(transact, ["read", "vg", *words])) == {"n": 1}
    with pytest.raises(UsageError, match="--devices and --device"):
        run(transact, ["read", "vg", *words, "--devices", "x"])
    with pytest.raises(MismatchError, match="not complete"):
        run(transact, ["read", "vg", *words[:2]])
    assert json.loads(run(transact, ["read", "vg", *words[:2], "--partial"])) == {"n": 1}


def test_a_device_that_says_nothing_any_more_can_be_left_out_by_its_path(machine: Machine) -> None:
    words = [word for file in machine.files for word in ("--device", file)]
    Path(machine.files[1]).write_bytes(bytes(4 << 20))
    link = machine.folder / "link"
    link.symlink_to(machine.files[0])
    with pytest.raises(NotFoundError, match="no device"):
        run(transact, ["recover", "vg", *words, "--device", str(link), "--without", str(link)])
    done = json.loads(run(transact, ["recover", "vg", *words, "--without", machine.files[1]]))
    assert [each["path"] for each in done["devices"]] == [machine.files[0]]
    assert json.loads(run(transact, ["read", "vg", *words])) == {"n": 1}


def test_a_document_that_is_old_does_no_harm(machine: Machine) -> None:
    """Paths lead to other disks by now."""
    devices = machine.discover("find", "vg")
    one, two, three = (Path(file) for file in machine.files)
    three.write_bytes(b"somebody's data" + bytes((4 << 20) - 15))
    one.rename(one.with_name("gone"))
    three.rename(one)
    before = one.read_bytes()
    for verb in ("expand", "update"):
        with pytest.raises(MismatchError, match="carries no label, not device"):
            machine.transact(verb, "vg", *(["--", "echo", "2"] if verb == "update" else []), stdin=devices)
    machine.transact("recover", "vg", stdin=devices)
    assert one.read_bytes() == before
    two.rename(three)
    one.with_name("gone").rename(two)
    result = CliRunner().invoke(transact, ["verify", "vg"], input=devices)
    assert isinstance(result.exception, MismatchError)
    assert "is device" in result.stdout
    assert "carries no label" in result.stdout


def test_a_device_that_holds_metadata_stays(machine: Machine) -> None:
    with pytest.raises(RefusedError, match="holds metadata of the group 'vg'"):
        machine.discover("rm", "vg", machine.files[1])
    machine.discover("rm", "vg", machine.files[1], "--force")
    with pytest.raises(MismatchError, match="is missing"):
        machine.transact("read", "vg")
    machine.transact("recover", "vg")
    assert json.loads(machine.transact("read", "vg")) == {"n": 1}


def test_verify_explains_and_fails(machine: Machine) -> None:
    Path(machine.files[1]).unlink()
    devices = machine.discover("find", "vg")
    assert json.loads(devices)["devices"][1]["missing"]
    result = CliRunner().invoke(transact, ["verify", "vg", "--text"], input=devices)
    assert isinstance(result.exception, MismatchError)
    assert "vg: not complete" in result.stdout
    assert "is missing; it was at" in result.stdout


@pytest.mark.parametrize(
    ("stdin", "error", "words"),
    [
        ("", UsageError, "stdin is empty"),
        ("{", UsageError, "devices .stdin."),
        ("[]", UsageError, "Expected `object`"),
        ('{"schema": "drystone.dvm.devices", "version": 2, "group": {}}', UsageError, "version"),
        ('{"group": {"name": "vg", "uuid": "x"}, "more": 1}', UsageError, "unknown field"),
        ('{"group": {"name": "other", "uuid": "x"}}', MismatchError, "not of 'vg'"),
        ('{"group": {"name": "vg", "uuid": "x"}}', NotFoundError, "has a region"),
    ],
)
def test_a_broken_stdin(machine: Machine, stdin: str, error: type[DrystoneError], words: str) -> None:
    for verb in ("read", "verify", "log", "expand", "recover"):
        with pytest.raises(error, match=words) as caught:
            machine.transact(verb, "vg", stdin=stdin)
        assert caught.value.hint


def test_mutators_that_fail(machine: Machine) -> None:
    told = '{"code": "exists", "message": "the name is taken", "hint": "another one"}'
    with pytest.raises(ExistsError, match=r"sh -c .*: the name is taken"):
        machine.transact("update", "vg", "--", "sh", "-c", f"echo '{told}' >&2; exit 4")
    with pytest.raises(DrystoneError, match="exit code 3: why"):
        machine.transact("update", "vg", "--", "sh", "-c", "echo why >&2; exit 3")
    with pytest.raises(DrystoneError, match="signal 9"):
        machine.transact("update", "vg", "--", "sh", "-c", "kill -9 $$")
    with pytest.raises(NotFoundError, match="no program"):
        machine.transact("update", "vg", "--", "no-such-mutator")
    with pytest.raises(UsageError, match="the mutator's output"):
        machine.transact("update", "vg", "--", "echo", "no json")
    assert json.loads(machine.transact("read", "vg")) == {"n": 1}


def test_activation_on_plain_files_is_refused_before_anything_is_changed(tmp_path: Path) -> None:
    machine = Machine(tmp_path, "one")
    machine.discover("add", "vg", machine.files[0])
    devices = machine.discover("find", "vg")
    found = parse_devices(devices)
    group = new_group("vg", found.present, seeded_ids("test"), uuid=found.group.uuid, extent_size=1 << 16)
    first, wanted = tmp_path / "first.json", tmp_path / "wanted.json"
    first.write_bytes(encode(group))
    wanted.write_bytes(encode(create(group, Wish("data", 1 << 20), seeded_ids("more"))))
    machine.transact("expand", "vg", "--metadata", str(first))
    words = ["update", "vg", "--activate", "--", "cat", str(wanted)]
    result = CliRunner().invoke(transact, words, input=devices, obj=SimulatedDeviceMapper())
    assert isinstance(result.exception, UsageError)
    assert "plain file, which device-mapper cannot use" in str(result.exception)
    assert machine.transact("read", "vg").strip() == first.read_text()
    words = ["update", "vg", "--activate", "--", "sed", 's/"tags":\\[\\]/"tags":["new"]/']
    result = CliRunner().invoke(transact, words, input=devices, obj=SimulatedDeviceMapper())
    assert result.exit_code == 0, result.output
    assert json.loads(machine.transact("read", "vg"))["tags"] == ["new"]


HEAVY = """
import sys
from drystone.cli.dvm import dvm
from drystone.cli.exits import run

config, disk = sys.argv[1:]
for words in (["discover", "list", "-c", config], ["transact", "read", "vg", "--device", disk, "--partial"]):
    assert run(dvm, ["--json", *words]) == 0
    assert "numpy" not in sys.modules, words
"""


def test_numpy_is_not_needed(machine: Machine) -> None:
    words = [sys.executable, "-c", HEAVY, str(machine.config), machine.files[0]]
    ran = subprocess.run(words, check=False, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr


def test_a_first_version_from_a_file(tmp_path: Path) -> None:
    machine = Machine(tmp_path, "one")
    machine.discover("add", "vg", machine.files[0])
    first = tmp_path / "first.json"
    first.write_text('{"name": "vg"}\n')
    machine.transact("expand", "vg", "--metadata", str(first))
    assert machine.transact("read", "vg") == '{"name": "vg"}\n'
    with pytest.raises(UsageError, match="stdin holds the devices"):
        machine.transact("expand", "vg", "--metadata", "-")


def test_the_configuration_is_checked_and_found(machine: Machine, tmp_path: Path) -> None:
    machine.config.write_text("[discover]\nfilter = []\n")
    with pytest.raises(UsageError, match="unknown field `filter`"):
        machine.discover("list")
    with pytest.raises(NotFoundError, match="there is no file"):
        run(discover, ["list", "-c", str(tmp_path / "none.toml")])


def test_a_group_that_is_not_known(machine: Machine) -> None:
    with pytest.raises(NotFoundError, match="there is no group 'vh'"):
        machine.discover("find", "vh")
