"""Plain command lines: read as click reads them, or left to it; and what is not imported for them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from inspect import signature
from pathlib import Path

import click
import pytest

from drystone.cli.entry import find_action
from drystone.cli.pdata_tools import run_tool
from drystone.cli.tools.plain.table import PLAIN
from drystone.cli.tools.plain.words import PlainTool, read_plain
from drystone.testing.era_metadata import write_era_metadata
from drystone.testing.thin_metadata import write_thin_metadata

SAMPLES = {"--format": ["xml", "json", "ranges", "DEV,MAPPED", "yaml"], "--compat": ["0.9", "1", "2"]}
WORDS = ["7", "0", "file", "", "-", "-3", "+3", "1_0", "x y", "\u0663", "9" * 40]


@pytest.fixture
def era_file(tmp_path: Path) -> Path:
    path = tmp_path / "era.img"
    path.write_bytes(write_era_metadata([1, 2, 2, 0], {3: {0}}, current={3}, current_era=5))
    return path


@pytest.fixture
def thin_file(tmp_path: Path) -> Path:
    path = tmp_path / "thin.img"
    path.write_bytes(write_thin_metadata({1: {0: 0, 1: 5}, 2: {0: 0}}))
    return path


def get_command(name: str) -> click.Command:
    command = getattr(import_module(f"drystone.cli.tools.{name}"), name)
    assert isinstance(command, click.Command)
    return command


def list_spellings(name: str) -> set[str]:
    options = [each for each in get_command(name).params if isinstance(each, click.Option)]
    return {spelling for each in options for spelling in (*each.opts, *each.secondary_opts) if each.expose_value}


def read_by_click(name: str, words: list[str]) -> dict[str, object] | None:
    """What click makes of the words; None when it refuses them."""
    try:
        return dict(get_command(name).make_context(name, list(words)).params)
    except (click.exceptions.Exit, click.ClickException):
        return None


def list_lines(name: str, tool: PlainTool) -> Iterator[list[str]]:
    """Command lines with each flag and each value, in several ways."""
    needed = ["--written-since", "4"] if name == "era_invalidate" else []
    yield needed
    yield ["file"]
    yield ["file", "file"]
    for line in ([*needed, "file"], ["file", *needed]):
        yield line
        for flag in tool.flags:
            yield [*line, flag]
            yield [flag, *line]
            yield [*line, flag, flag]
            yield [*line, f"{flag}=1"]
        for flag in tool.values:
            for word in [*SAMPLES.get(flag, []), *WORDS]:
                yield [*line, flag, word]
                yield [flag, word, *line]
            yield [*line, flag]
            yield [*line, f"{flag}=7"]
        for word in ("--help", "--", "-x", "--no-such-flag", "--vers", "-mq", ""):
            yield [*line, word]


@pytest.mark.parametrize("name", PLAIN)
def test_what_is_read_is_what_click_reads(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    tool = PLAIN[name]
    read = 0
    for words in list_lines(name, tool):
        plain = read_plain(words, tool)
        if plain is not None:
            assert plain == read_by_click(name, words), words
            read += 1
    capsys.readouterr()
    assert read > 2 * len({*tool.flags, *tool.values})


@pytest.mark.parametrize("name", PLAIN)
def test_the_table_has_all_flags_and_no_others(name: str) -> None:
    tool = PLAIN[name]
    assert {*tool.flags, *tool.values} == list_spellings(name)
    module, _, function = tool.place.partition(":")
    names = {*tool.arguments, *tool.defaults, *(each for each, _ in (*tool.flags.values(), *tool.values.values()))}
    assert set(signature(getattr(import_module(module), function)).parameters) == names


def test_what_asks_for_completions_is_left_to_click(monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_action("era_check", ["file"], "drystone") is not None
    assert find_action("era_dump", ["file"], "drystone") is None
    assert find_action("", [], "drystone") is None
    monkeypatch.setenv("_CONVOY_PDATA_TOOLS_COMPLETE", "bash_source")
    assert find_action("era_check", ["file"], "convoy-pdata_tools") is None


def run_entry(program: str, words: list[str], *, tell: str = "") -> subprocess.CompletedProcess[str]:
    """A console script as a process; at its end it prints which of the modules `tell` were imported."""
    code = (
        "import atexit, sys; from drystone.cli import entry; "
        f"atexit.register(lambda: print([each for each in {tell.split()!r} if each in sys.modules], file=sys.stderr)); "
        f"sys.argv[0] = {program!r}; entry.{program.replace('-', '_').removeprefix('convoy_')}()"
    )
    return subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("words", "imported"),
    [
        (["era_check", "ERA"], "[]"),
        (["era_invalidate", "--written-since", "2", "ERA"], "[]"),
        (["thin_ls", "THIN"], "[]"),
        (["thin_ls", "-o", "DEV,EXCLUSIVE", "THIN"], "['numpy']"),
        (["thin_delta", "--thin1", "1", "--thin2", "2", "THIN"], "['numpy']"),
        (["era_check", "--super-block-only", "-q", "ERA"], "[]"),
        (["era_check", "--no-such-flag"], "['click', 'pathlib']"),
    ],
)
def test_what_is_not_needed_is_not_imported(
    words: list[str], imported: str, era_file: Path, thin_file: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    names = {"ERA": str(era_file), "THIN": str(thin_file)}
    words = [names.get(word, word) for word in words]
    done = run_entry("convoy-pdata_tools", words, tell="click numpy pathlib concurrent.futures msgspec")
    assert done.stderr.splitlines()[-1] == imported
    assert done.returncode == run_tool(words)
    told = capfd.readouterr()
    assert (done.stdout, done.stderr.splitlines()[:-1]) == (told.out, told.err.splitlines())


@pytest.mark.parametrize("flags", [[], ["--json"], ["-q"]])
def test_failures_are_told_alike(flags: list[str], era_file: Path, capfd: pytest.CaptureFixture[str]) -> None:
    whole = era_file.read_bytes()
    for data in (b"", bytes(4096), whole[:8192], whole.replace(b"\x05", b"\x06")):
        era_file.write_bytes(data)
        for name in (str(era_file), str(era_file / "below"), str(era_file.parent)):
            words = ["era_check", *flags, name]
            done = run_entry("convoy-pdata_tools", words)
            assert done.returncode == run_tool(words) == 1 or name == str(era_file.parent)
            told = capfd.readouterr()
            assert (done.stdout, done.stderr.removesuffix("[]\n")) == (told.out, told.err)
            short = run_entry("drystone", ["era", "check", *flags, name])
            assert (short.returncode, short.stdout, short.stderr) == (done.returncode, done.stdout, done.stderr)


def test_a_reader_that_goes_away_ends_it_silently(era_file: Path) -> None:
    code = "import sys; from drystone.cli import entry; sys.argv[0] = 'convoy-pdata_tools'; entry.pdata_tools()"
    words = [sys.executable, "-c", code, "era_check", str(era_file)]
    done = subprocess.run(
        ["sh", "-c", 'exec 3>&1; { "$@"; echo $? >&3; } | exec true', "sh", *words],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    assert done.stdout.strip() in {"141", "0"}  # 0 when all was written before the reader was gone
