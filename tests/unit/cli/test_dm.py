"""`drystone dm` on a simulated kernel. What makes nodes is tested in a guest."""

from __future__ import annotations

import errno
import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from drystone.base.errors import BusyError, DrystoneError, ExistsError, KernelError, NotFoundError, UsageError
from drystone.cli.dm import dm
from drystone.kernel.dm.abc import TableLine
from drystone.kernel.dm.simulated import SimulatedDeviceMapper


@pytest.fixture
def mapper() -> SimulatedDeviceMapper:
    """One device, `one`, with a live table of two targets."""
    mapper = SimulatedDeviceMapper()
    mapper.create("one", "UUID-1")
    mapper.load("one", [TableLine(0, 8, "zero"), TableLine(8, 8, "error")])
    mapper.resume("one")
    return mapper


def _run(mapper: SimulatedDeviceMapper, *words: str, stdin: str = "") -> str:
    result = CliRunner().invoke(dm, words, obj=mapper, input=stdin)
    if isinstance(result.exception, DrystoneError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


def test_list(mapper: SimulatedDeviceMapper) -> None:
    number = str(mapper.info("one").number)
    assert _run(mapper, "list").splitlines()[1].split() == ["one", number, "0", "UUID-1"]
    (found,) = json.loads(_run(mapper, "list", "--json"))
    assert found == {"name": "one", "number": number, "event_nr": 0, "uuid": "UUID-1"}


def test_info_by_every_kind_of_reference(mapper: SimulatedDeviceMapper) -> None:
    number = str(mapper.info("one").number)
    for ref in ("one", "uuid:UUID-1", number):
        found = json.loads(_run(mapper, "info", ref, "--json"))
        assert (found["name"], found["number"], found["live_table"]) == ("one", number, True)
    assert "state    active" in _run(mapper, "info", "one")


def test_a_table_is_printed_as_it_is_read(mapper: SimulatedDeviceMapper, tmp_path: Path) -> None:
    text = _run(mapper, "table", "one")
    assert text == "0 8 zero\n8 8 error\n"
    file = tmp_path / "table"
    file.write_text("# two targets\n\n" + text)
    _run(mapper, "create", "two")
    _run(mapper, "load", "two", "--table", str(file))
    assert _run(mapper, "table", "--inactive", "two") == text
    _run(mapper, "load", "two", "--table", "-", stdin="0 16 zero\n")
    assert mapper.table("two", inactive=True) == [TableLine(0, 16, "zero")]
    _run(mapper, "clear", "two")
    assert _run(mapper, "table", "--inactive", "two") == ""


def test_status_and_deps(mapper: SimulatedDeviceMapper) -> None:
    assert _run(mapper, "status", "one") == "0 8 zero\n8 8 error\n"
    assert json.loads(_run(mapper, "status", "one", "--json"))[0]["target"] == "zero"
    assert json.loads(_run(mapper, "deps", "one", "--json")) == []


def test_suspend(mapper: SimulatedDeviceMapper) -> None:
    assert "suspended" in _run(mapper, "suspend", "one", "--no-flush", "--no-lock-fs")
    assert mapper.info("one").suspended


def test_a_uuid_is_given(mapper: SimulatedDeviceMapper) -> None:
    _run(mapper, "create", "two")
    _run(mapper, "rename", "two", "--uuid", "UUID-2")
    assert mapper.info("two").uuid == "UUID-2"


def test_version_and_targets(mapper: SimulatedDeviceMapper) -> None:
    assert _run(mapper, "version").startswith("4.")
    assert {"linear", "thin-pool"} <= {each["name"] for each in json.loads(_run(mapper, "targets", "--json"))}


def test_wait_for_an_event_that_was(mapper: SimulatedDeviceMapper) -> None:
    mapper.rename("one", "eins")
    assert json.loads(_run(mapper, "wait", "eins", "0", "--json"))["event_nr"] == 1


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["info", "none"], NotFoundError),
        (["info", "/dev/null"], NotFoundError),
        (["load", "one"], UsageError),
        (["load", "one", "--line", "0 8"], UsageError),
        (["load", "one", "--line", "0 8 zero", "--table", "-"], UsageError),
        (["load", "one", "--table", "/nonexistent"], NotFoundError),
        (["load", "one", "--table", "/dev/null"], UsageError),
        (["load", "one", "--table", "/dev/zero"], UsageError),
        (["load", "one", "--table", "/"], UsageError),
        (["load", "one", "--line", "0 8 linear"], KernelError),
        (["create", "two", "--read-only"], UsageError),
        (["rename", "one"], UsageError),
        (["rename", "one", "two", "--uuid", "x"], UsageError),
        (["create", "one"], ExistsError),
        (["create", "a/b"], UsageError),
    ],
)
def test_bad_input_is_one_error_and_no_change(
    mapper: SimulatedDeviceMapper, words: list[str], error: type[DrystoneError]
) -> None:
    before = (mapper.list_devices(), mapper.info("one"))
    with pytest.raises(error) as caught:
        _run(mapper, *words)
    assert type(caught.value) is error
    assert (mapper.list_devices(), mapper.info("one")) == before


def test_a_device_in_use_is_busy_and_keeps_the_name_that_was_given(mapper: SimulatedDeviceMapper) -> None:
    mapper.open("one")
    with pytest.raises(BusyError, match="remove on uuid:UUID-1 failed: EBUSY") as caught:
        _run(mapper, "remove", "uuid:UUID-1")
    assert caught.value.facts["errno"] == errno.EBUSY
    assert caught.value.to_document()["device"] == "uuid:UUID-1"


@pytest.mark.parametrize("command", sorted(dm.commands))
def test_every_command_has_help_with_an_example(command: str) -> None:
    text = CliRunner().invoke(dm, [command, "--help"], obj=object()).output
    assert f"drystone dm {command}" in text
    assert "Example" in text
