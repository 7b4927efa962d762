"""`dvm lvm2` on plain files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from drystone.base.documents import decode
from drystone.base.errors import DamagedError, DrystoneError, NotFoundError, RefusedError, UnsupportedError, UsageError
from drystone.cli.dvm.lvm2 import lvm2
from drystone.dvm.groups.rules import parse_group
from drystone.dvm.state import State, parse_state
from drystone.kernel.dm.abc import TableLine
from drystone.kernel.dm.simulated import SimulatedDeviceMapper
from drystone.testing.lvm2_metadata import device_uuid, linear, write_device, write_text, write_volume

THIN = 'start_extent = 0\nextent_count = 9\ntype = "thin"\n'
VOLUMES = {
    "home": write_volume(1, [linear(0, 2, "pv0", 3)]),
    "data": write_volume(2, [linear(0, 4, "pv1", 0)]),
}
WITH_THIN = {**VOLUMES, "thin": write_volume(3, [THIN])}
TEXTS = [
    write_text({}, devices=2, seqno=1),
    write_text(VOLUMES, devices=2, seqno=2),
    write_text(WITH_THIN, devices=2, seqno=3, description="made \x1b[2J"),
]


def write(folder: Path, number: int, texts: list[bytes], *, spoil: int | None = None) -> str:
    path = folder / f"disk{number}"
    data = bytearray(write_device(number, texts).data)
    if spoil is not None:
        data[spoil] ^= 0x20
    path.write_bytes(data)
    return str(path)


@pytest.fixture
def disks(tmp_path: Path) -> list[str]:
    return [write(tmp_path, number, TEXTS) for number in range(2)]


def invoke(*words: str) -> Result:
    return CliRunner().invoke(lvm2, words)


def run(*words: str) -> str:
    result = invoke(*words)
    if isinstance(result.exception, DrystoneError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.stdout


def document(*words: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(run(*words))
    return found


def test_scan(disks: list[str]) -> None:
    found = document("scan", *disks)
    assert (found["schema"], found["version"]) == ("drystone.dvm.lvm2.scan", 1)
    first = found["devices"][0]
    assert first["path"] == disks[0]
    assert first["physical_volume"]["uuid"] == device_uuid(0)
    committed = first["areas"][0]["committed"]
    assert (committed["group"], committed["seqno"], committed["problem"]) == ("vg", 3, "")
    table = run("scan", "--text", *disks)
    assert table.splitlines()[1].split() == [disks[0], device_uuid(0), "1", "vg", "3"]


def test_show(disks: list[str]) -> None:
    (group,) = document("show", *disks)["groups"]
    assert (group["name"], group["seqno"], group["extents"], group["free"]) == ("vg", 3, 20, 14)
    assert [each["path"] for each in group["devices"]] == disks
    assert {each["name"]: each["left_out"] for each in group["volumes"]} == {
        "home": "", "data": "", "thin": "it is of type thin, which is not read",
    }  # fmt: skip
    (older,) = document("show", "--seqno", "2", "--group", "vg", *disks)["groups"]
    assert [each["name"] for each in older["volumes"]] == ["home", "data"]
    assert "\x1b" not in run("show", "--text", *disks)
    assert "\x1b" not in run("rescue", "--text", *disks)


def test_tables(disks: list[str]) -> None:
    result = invoke("tables", *disks)
    state = parse_state(result.stdout)
    assert [(each.name, each.table[0].params) for each in state.devices] == [
        ("vg-home", f"{disks[0]} 3584"),
        ("vg-data", f"{disks[1]} 2048"),
    ]
    assert json.loads(result.stderr) == {
        "code": "left-out", "volume": "thin", "message": "it is of type thin, which is not read",
    }  # fmt: skip
    assert [each.name for each in parse_state(run("tables", "--volume", "data", *disks)).devices] == ["vg-data"]


def test_both_states_are_of_the_same_devices(disks: list[str]) -> None:
    mapper = SimulatedDeviceMapper()
    (home, data) = parse_state(run("tables", *disks)).devices
    for name, uuid in (("vg-data", data.uuid), ("vg-thin", "LVM-other"), ("vg-home", "")):
        mapper.create(name, uuid)
        mapper.load(name, [TableLine(0, 8, "zero")])
        mapper.resume(name)
    for words, wanted in (("--with-current", [home, data]), ("--down", [])):
        result = CliRunner().invoke(lvm2, ["tables", words, *disks], obj=mapper)
        both = decode(result.stdout, dict[str, State])
        assert [each.name for each in both["current"].devices] == ["vg-data"]
        assert list(both["desired"].devices) == wanted


def test_paths_of_tables_are_absolute(disks: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(Path(disks[0]).parent)
    state = parse_state(run("tables", "disk0", "./disk1"))
    assert [each.table[0].params.split()[0] for each in state.devices] == disks


def test_a_device_that_is_named_twice_is_one(disks: list[str], tmp_path: Path) -> None:
    alias = tmp_path / "alias"
    alias.symlink_to(disks[0])
    (group,) = document("show", *disks, disks[0], str(alias))["groups"]
    assert group["problems"] == []


def test_rescue(disks: list[str]) -> None:
    found = document("rescue", *disks)
    assert [(each["seqno"], each["proof"]) for each in found["texts"]] == [
        (3, "checksum"),
        (2, "copies"),
        (1, "copies"),
    ]
    (second,) = document("rescue", "--seqno", "2", *disks)["texts"]
    assert run("rescue", "--checksum", second["checksum"], "--extract", *disks).encode() == TEXTS[1]
    assert run("rescue", "--seqno", "1", "--extract", *disks).encode() == TEXTS[0]
    assert "vg     2" in run("rescue", "--text", *disks)


def test_what_lvm2_does_not_find(tmp_path: Path) -> None:
    """The newest text is damaged on both devices, and the label of one is lost as well."""
    spoiled = 4096 + 512 + 1024 + 2048 + 600
    disks = [write(tmp_path, number, TEXTS, spoil=spoiled) for number in range(2)]
    with pytest.raises(DamagedError, match="no text of a group can be read"):
        run("show", *disks)
    with pytest.raises(DamagedError):
        run("tables", *disks)
    assert [each["seqno"] for each in document("rescue", *disks)["texts"]][-2:] == [2, 1]
    assert len(parse_state(run("tables", "--seqno", "2", *disks)).devices) == 2
    with Path(disks[1]).open("r+b") as file:
        file.seek(512)
        file.write(bytes(512))
    result = invoke("tables", "--seqno", "2", *disks)
    assert [each.name for each in parse_state(result.stdout).devices] == ["vg-home"]
    assert f"pv1 {device_uuid(1)} is missing" in result.stderr
    placed = run("tables", "--seqno", "2", "--pv", f"{device_uuid(1)}={disks[1]}", disks[0])
    assert len(parse_state(placed).devices) == 2


def test_import(disks: list[str]) -> None:
    with pytest.raises(RefusedError, match="1 volumes of vg cannot be in a group document"):
        run("import", *disks)
    group = parse_group(run("import", "--leave-out", *disks))
    assert [each.name for each in group.volumes] == ["home", "data"]
    assert parse_group(run("import", "--seqno", "2", *disks)).devices[0].allocatable


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        (("show", "/nowhere/x"), NotFoundError),
        (("show", "/dev/null"), UsageError),
        (("show", "{empty}"), NotFoundError),
        (("tables", "--group", "other", "{disk}"), NotFoundError),
        (("tables", "--volume", "other", "{disk}"), NotFoundError),
        (("tables", "--volume", "thin", "{disk}"), UnsupportedError),
        (("tables", "--seqno", "9", "{disk}"), NotFoundError),
        (("tables", "--pv", "x=y", "{disk}"), UsageError),
        (("tables", "--pv", f"{device_uuid(1)}=/nowhere", "{disk}"), NotFoundError),
        (("rescue", "--extract", "{disk}"), UsageError),
    ],
)
def test_bad_input(words: tuple[str, ...], kind: type[DrystoneError], disks: list[str], tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.write_bytes(bytes(8192))
    result = invoke(*(word.format(disk=disks[0], empty=empty) for word in words))
    assert type(result.exception) is kind
    assert isinstance(result.exception, DrystoneError)
    assert "programs.md" not in result.exception.hint
    assert result.stdout == ""


def test_wrong_words(disks: list[str]) -> None:
    for words in (
        ("show",),
        ("tables", "--seqno", "-1", *disks),
        ("tables", "--checksum", "xyz", *disks),
        ("scan", ""),
    ):
        result = invoke(*words)
        assert result.exit_code != 0
        assert result.stdout == ""


def test_nothing_is_written(disks: list[str]) -> None:
    before = [(Path(disk).read_bytes(), Path(disk).stat().st_mtime_ns) for disk in disks]
    for words in (("scan",), ("show",), ("tables",), ("rescue",), ("import", "--leave-out")):
        run(*words, *disks)
    assert before == [(Path(disk).read_bytes(), Path(disk).stat().st_mtime_ns) for disk in disks]
