from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest

from drystone.base.errors import BusyError
from drystone.cli.exits import BROKEN_PIPE, INTERRUPTED, run
from drystone.cli.main import COMMANDS, drystone


@click.command()
@click.option("--json", "as_json", is_flag=True)
@click.argument("what")
def example(what: str, as_json: bool) -> None:
    errors: dict[str, BaseException] = {
        "busy": BusyError("db is mounted", hint="unmount it", device="db"),
        "interrupt": KeyboardInterrupt(),
        "defect": ZeroDivisionError("a defect"),
        "system": PermissionError(13, "Permission denied", "/dev/sda"),
        "pipe": BrokenPipeError(),
        "term": SystemExit(143),
    }
    if what in errors:
        raise errors[what]
    click.echo(what)


def test_success_is_zero(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(example, ["fine"]) == 0
    assert capsys.readouterr().out == "fine\n"


@pytest.mark.parametrize(
    ("what", "code"), [("busy", 5), ("interrupt", INTERRUPTED), ("term", 143), ("system", 12), ("defect", 70)]
)
def test_a_failure_has_the_exit_code_of_its_class(what: str, code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DRYSTONE_DEBUG", raising=False)
    assert run(example, [what]) == code


def test_an_error_is_a_line_and_a_hint_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    run(example, ["busy"])
    assert capsys.readouterr().err == "drystone: db is mounted\n  hint: unmount it\n"


def test_with_json_an_error_is_one_object_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    run(example, ["busy", "--json"])
    assert json.loads(capsys.readouterr().err) == {
        "code": "busy",
        "message": "db is mounted",
        "hint": "unmount it",
        "device": "db",
    }


def test_wrong_arguments_are_two_also_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(example, ["--nonsense", "--json"]) == 2
    assert json.loads(capsys.readouterr().err)["code"] == "usage"


def test_a_full_disk_behind_stdout_is_exhaustion() -> None:
    with Path("/dev/full").open("w") as full:
        words = [sys.executable, "-c", "from drystone.cli.main import main; main()", "completion", "bash"]
        done = subprocess.run(words, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 8
    assert done.stderr.startswith("drystone: the output: No space left on device\n")


def test_a_reader_that_goes_away_ends_it_silently() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    program = "import sys; from drystone.cli.main import main; main()"
    words = [sys.executable, "-c", program, "completion", "bash"]
    done = subprocess.run(words, stdout=writer, stderr=subprocess.PIPE, check=False)
    os.close(writer)
    assert (done.returncode, done.stderr) == (BROKEN_PIPE, b"")


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_of_the_table_exists_and_its_help_has_an_example(name: str) -> None:
    command = drystone.get_command(click.Context(drystone), name)
    assert command is not None
    assert "Example" in (command.help or "")


def test_help_imports_no_command() -> None:
    program = "import sys; from drystone.cli.exits import run; from drystone.cli.main import drystone; "
    program += "run(drystone, ['--help']); "
    program += "print([m for m in sys.modules if m in ('numpy', 'rich', 'msgspec', 'httpx', 'drystone.cli.lab')])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script_and_completes(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(drystone, ["completion", shell]) == 0
    assert "_DRYSTONE_COMPLETE" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("command", "typed", "completed"),
    [
        ("drystone", "vol", "volume"),
        ("convoy", "sna", "snapshot"),
        ("dvm", "disc", "discover"),
        ("dlvm", "att", "attachments"),
    ],
)
def test_bash_completes_with_the_script(command: str, typed: str, completed: str) -> None:
    binaries = str(Path(sys.executable).parent)
    script = (
        f'eval "$(drystone completion bash {command})"; COMP_WORDS=({command} {typed}); COMP_CWORD=1; '
        f'_{command}_completion {command}; echo "${{COMPREPLY[*]}}"'
    )
    environment = {**os.environ, "PATH": f"{binaries}:{os.environ['PATH']}"}
    done = subprocess.run(["bash", "-c", script], env=environment, capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == (f"{completed}\n", 0), done.stderr


@pytest.mark.parametrize("closed", [0, 1, 2])
def test_a_closed_standard_stream_is_no_place_for_a_disk(closed: int) -> None:
    program = (
        "import os, sys; from drystone.cli.exits import open_standard_streams; open_standard_streams(); "
        "handle = os.open('/dev/zero', os.O_RDONLY); print('fine'); os._exit(handle > 2)"
    )
    words = ["sh", "-c", f'exec "$0" -c "$1" {closed}>&-', sys.executable, program]
    assert subprocess.run(words, capture_output=True, check=False).returncode == 1


def test_a_command_works_without_stdout() -> None:
    program = "from drystone.cli.main import main; main()"
    words = ["sh", "-c", 'exec "$0" -c "$1" --version >&-', sys.executable, program]
    done = subprocess.run(words, stderr=subprocess.PIPE, check=False)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize("code", [0, 7])
def test_leaving_ends_with_the_code_and_runs_what_is_to_run_at_the_end(code: int) -> None:
    program = (
        "import atexit; from drystone.cli.exits import leave; "
        f"atexit.register(print, 'end'); print('text', end=' '); leave({code})"
    )
    done = subprocess.run([sys.executable, "-c", program], check=False, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (code, "text end\n")


def test_a_profiler_says_at_the_end_what_it_saw() -> None:
    program = "from drystone.cli.exits import leave; leave(0)"
    words = [sys.executable, "-c", f"import cProfile; cProfile.run({program!r})"]
    done = subprocess.run(words, check=False, capture_output=True, text=True)
    assert (done.returncode, "function calls" in done.stdout) == (0, True)


@pytest.mark.parametrize(("words", "code"), [(["list", "/nonesuch"], 3), (["list", "--json", "/nonesuch"], 3), ([], 2)])
def test_a_full_disk_behind_stderr_does_not_change_the_code(words: list[str], code: int) -> None:
    command = [sys.executable, "-m", "drystone.cli.main", "backup", *words]
    with Path("/dev/full").open("w") as full:
        assert subprocess.run(command, stderr=full, check=False).returncode == code
