"""`drystone era` verbs of devices, on a simulated kernel. Making and removing real ones is tested in a guest."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from drystone.base.errors import BusyError, DrystoneError, ExistsError, NotFoundError, UsageError
from drystone.cli.era import era
from drystone.kernel.dm.abc import DeviceNumber, TableLine
from drystone.kernel.dm.simulated import SimulatedDeviceMapper


@pytest.fixture
def mapper() -> SimulatedDeviceMapper:
    made = SimulatedDeviceMapper({DeviceNumber(7, 900): 8192, DeviceNumber(7, 901): 1000})
    made.create("db", "DRYSTONE-ERA-tag")
    made.load("db", [TableLine(0, 1000, "era", "7:900 7:901 128")])
    made.resume("db")
    return made


def run(mapper: SimulatedDeviceMapper, *words: str) -> str:
    result = CliRunner().invoke(era, words, obj=mapper)
    if isinstance(result.exception, DrystoneError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.stdout


def test_status(mapper: SimulatedDeviceMapper) -> None:
    found = json.loads(run(mapper, "status", "db", "--json"))
    assert (found["device"], found["era"], found["size"], found["blocks"]) == ("db", 1, 512000, 8)
    assert (found["metadata"], found["origin"], found["tag"], found["held"]) == ("7:900", "7:901", "tag", None)
    assert "block size      65536 bytes (64.0 KiB)" in run(mapper, "status", "db")


def test_checkpoint(mapper: SimulatedDeviceMapper) -> None:
    assert run(mapper, "checkpoint", "db") == "2\n"
    assert json.loads(run(mapper, "checkpoint", "db", "--json")) == {"device": "db", "era": 3}
    assert run(mapper, "checkpoint", "db", "--drain") == "4\n"
    assert json.loads(run(mapper, "status", "db", "--json"))["era"] == 5, "draining begins another one"


@pytest.mark.parametrize("verb", ["checkpoint", "snapshot", "drop", "remove"])
def test_a_dry_run_shows_a_program_and_changes_nothing(mapper: SimulatedDeviceMapper, verb: str) -> None:
    if verb == "drop":
        with pytest.raises(NotFoundError, match="holds no metadata snapshot"):
            run(mapper, verb, "db", "--dry-run")
        mapper.message("db", "take_metadata_snap")
    before = mapper.status("db")
    text = run(mapper, verb, "db", "--dry-run")
    assert "program 1" in text
    (preview,) = json.loads(run(mapper, verb, "db", "--dry-run", "--json"))
    assert preview["program"]["devices"] == [{"name": "db", "uuid": "DRYSTONE-ERA-tag"}]
    assert preview["words"]
    assert mapper.status("db") == before


def test_a_dry_run_is_refused_as_the_run_is(mapper: SimulatedDeviceMapper) -> None:
    mapper.message("db", "take_metadata_snap")
    with pytest.raises(BusyError, match="held already"):
        run(mapper, "snapshot", "db", "--dry-run")
    assert "drop_metadata_snap" in run(mapper, "snapshot", "db", "--dry-run", "--replace")
    mapper.message("db", "drop_metadata_snap")
    assert "drop_metadata_snap" not in run(mapper, "snapshot", "db", "--dry-run", "--replace").split("exit done")[0]


def test_removal(mapper: SimulatedDeviceMapper) -> None:
    assert json.loads(run(mapper, "remove", "db", "--json")) == {"device": "db", "removed": True}
    assert mapper.list_devices() == []


def test_devices_that_will_not_do(mapper: SimulatedDeviceMapper) -> None:
    with pytest.raises(NotFoundError, match="nobody"):
        run(mapper, "status", "nobody")
    mapper.create("zeros")
    mapper.load("zeros", [TableLine(0, 8, "zero")])
    mapper.resume("zeros")
    with pytest.raises(UsageError, match="no era device"):
        run(mapper, "remove", "zeros")
    mapper.suspend("db")
    with pytest.raises(BusyError, match="suspended"):
        run(mapper, "checkpoint", "db")


def test_arguments_of_create(mapper: SimulatedDeviceMapper) -> None:
    devices = ("--metadata", "/dev/null", "--origin", "/dev/null")
    with pytest.raises(ExistsError):
        run(mapper, "create", "db", *devices)
    with pytest.raises(UsageError, match="no block device"):
        run(mapper, "create", "other", *devices)
    with pytest.raises(UsageError, match="say one of the two"):
        run(mapper, "create", "other", *devices, "--force", "--continue")
    with pytest.raises(UsageError, match="not valid"):
        run(mapper, "create", "/", *devices)
    with pytest.raises(NotFoundError):
        run(mapper, "create", "other", "--metadata", "/dev/null/x", "--origin", "/dev/null")
