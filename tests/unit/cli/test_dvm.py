"""`dvm` on a simulated kernel. The processes themselves are tested in a guest."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from drystone.base.documents import encode
from drystone.base.errors import DrystoneError, ExistsError, NotFoundError, UsageError
from drystone.cli.dvm import dvm
from drystone.dvm.program import parse_program
from drystone.dvm.state import Device, Line, State, parse_state
from drystone.dvm.text import parse_text
from drystone.kernel.dm.abc import TableLine
from drystone.kernel.dm.simulated import SimulatedDeviceMapper

WANTED = State((Device("one", "U-1", (Line(0, 16, "zero"),)), Device("two", "U-2", (Line(0, 8, "linear", "{one} 8"),))))


@pytest.fixture
def mapper() -> SimulatedDeviceMapper:
    """One device, `one`."""
    mapper = SimulatedDeviceMapper()
    mapper.create("one", "U-1")
    mapper.load("one", [TableLine(0, 8, "zero")])
    mapper.resume("one")
    return mapper


@pytest.fixture
def wanted(tmp_path: Path) -> str:
    path = tmp_path / "wanted.json"
    path.write_bytes(encode(WANTED))
    return str(path)


def run(mapper: SimulatedDeviceMapper, *words: str, stdin: str = "") -> str:
    result = CliRunner().invoke(dvm, words, obj=mapper, input=stdin)
    if isinstance(result.exception, DrystoneError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.stdout


def test_observe_activate_execute(mapper: SimulatedDeviceMapper, wanted: str) -> None:
    state = run(mapper, "observe")
    assert [each.name for each in parse_state(state).devices] == ["one"]
    program = run(mapper, "dmactivate", "-", wanted, stdin=state)
    result = json.loads(run(mapper, "dmexec", stdin=program))
    assert result["outcome"] == "done"
    assert parse_state(run(mapper, "observe")) == WANTED
    again = run(mapper, "dmactivate", "-", wanted, stdin=run(mapper, "observe"))
    assert parse_program(again).is_empty


def test_selections(mapper: SimulatedDeviceMapper) -> None:
    mapper.create("two", "V-2")
    for words, names in (
        (("--name", "o"), ["one"]),
        (("--uuid", "V"), ["two"]),
        (("--uuid", "V", "--name", "on"), ["one", "two"]),
        (("--name", "x"), []),
    ):
        assert [each.name for each in parse_state(run(mapper, "observe", *words)).devices] == names


def test_both_states_on_stdin(mapper: SimulatedDeviceMapper) -> None:
    both = json.dumps({"current": {"devices": []}, "desired": json.loads(encode(WANTED))})
    text = run(mapper, "dmactivate", "--text", stdin=both)
    assert text.startswith("program 1\ncreate one uuid=U-1\n")
    assert run(mapper, "dmexec", "--check", stdin=text) == run(mapper, "dmactivate", stdin=both)
    assert parse_text(run(mapper, "dmexec", "--check", "--text", stdin=text)) == parse_text(text)
    assert run(mapper, "dmactivate", "--describe", stdin=both).startswith("   1. create the device one")
    assert run(mapper, "dmexec", "--check", "--describe", stdin=text).startswith("   1. create the device one")


def test_a_run_that_fails_prints_its_result_and_raises(mapper: SimulatedDeviceMapper) -> None:
    result = CliRunner().invoke(dvm, ["dmexec"], obj=mapper, input="program 1\ncreate one\n")
    assert json.loads(result.stdout)["outcome"] == "failed"
    assert isinstance(result.exception, ExistsError)
    assert result.exception.facts["errno_name"] == "EBUSY"
    assert result.exception.facts["device"] == "one"
    assert json.loads(result.stdout)["error"]["code"] == "exists"


@pytest.mark.parametrize(
    ("words", "stdin", "kind"),
    [
        (("dmactivate", "one.json"), "", UsageError),
        (("dmactivate", "-", "-"), "", UsageError),
        (("dmactivate", "/nowhere/a", "/nowhere/b"), "", NotFoundError),
        (("dmactivate", "/dev/null", "/dev/null"), "", UsageError),
        (("dmactivate", "/dev/zero", "/dev/zero"), "", UsageError),
        (("dmactivate",), '{"current": {}}', UsageError),
        (("dmactivate",), "nonsense", UsageError),
        (("dmexec",), "", UsageError),
        (("dmexec", "/dev/zero"), "", UsageError),
        (("dmexec",), "nonsense", UsageError),
        (("dmexec",), "\udcff", UsageError),
        (("dmexec",), "{}x", UsageError),
        (("dmexec",), "program 1\nresume gone\n", UsageError),
        (("dmexec",), "program 1\ndevice gone\nresume gone\n", NotFoundError),
        (("dmexec", "--text"), "", UsageError),
    ],
)
def test_bad_input_is_an_error_and_changes_nothing(
    mapper: SimulatedDeviceMapper, words: tuple[str, ...], stdin: str, kind: type[DrystoneError]
) -> None:
    result = CliRunner().invoke(dvm, words, obj=mapper, input=stdin.encode(errors="surrogateescape"))
    assert isinstance(result.exception, kind)
    assert result.exception.hint or kind is NotFoundError
    assert result.stdout == ""
    assert [each.name for each in mapper.list_devices()] == ["one"]
