"""`dvm record` and `dvm replay`: what goes in and out of the tools, noted and repeated."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from drystone.base.errors import KernelError, MismatchError, UsageError
from drystone.cli.dvm.configuration import passed_down
from drystone.cli.dvm.tool import Tool, errors_as_json, print_document
from drystone.cli.input import read_input
from drystone.cli.output import Function

if TYPE_CHECKING:
    from drystone.dvm.session import Content, Repeated, Run


_WITHOUT_STDIN = frozenset({"activate", "boot", "discover", "observe", "replace", "resize"})
"""Tools that read no stdin: one that nobody closes is not waited for."""


@click.command(cls=Tool, context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@errors_as_json
@click.argument("file")
@click.argument("words", nargs=-1, required=True, type=click.UNPROCESSED, metavar="TOOL [ARGS]...")
@click.pass_context
def record(ctx: click.Context, file: str, words: tuple[str, ...]) -> None:
    """Run a tool of dvm, and append what went in and out to FILE: one JSON line.

    Words, stdin, the small text files that are named, stdout, stderr and the exit code. The tool's outputs are passed
    on when it has ended, and its exit code is ours. A `dvm` behind `--` is recorded too. Who can read FILE sees all
    that the tools saw: keys in documents as well.

    \b
    Examples:
      dvm record log.jsonl discover find vg | dvm record log.jsonl transact read vg
      dvm record log.jsonl metadata create db 10G < vg.json
    """
    sys.exit(run_recorded(file, words, config=passed_down(ctx)))


def log_option(function: Function) -> Function:
    """`--log FILE` for the group of all tools, for its help: `with_log` has taken it out of the words of `dvm`."""

    def refuse(_: click.Context, __: click.Parameter, file: str | None) -> None:
        if file is not None:
            raise UsageError("--log is an option of dvm", hint=f"drystone dvm record {file} TOOL ...")

    text = "Note what goes into the tool and out of it: as `dvm record FILE TOOL` does."
    return click.option("--log", metavar="FILE", callback=refuse, expose_value=False, help=text)(function)


def with_log(words: Sequence[str]) -> list[str]:
    """The words of `dvm --log FILE TOOL ...` as those of `dvm record FILE TOOL ...`; others as they are."""
    before: list[str] = []
    rest = list(words)
    file: str | None = None
    while rest and rest[0].startswith("-"):
        option, equals, value = rest[0].partition("=")
        if option == "--log" and (equals or len(rest) > 1):
            file, rest = (value, rest[1:]) if equals else (rest[1], rest[2:])
        else:
            taken = 2 if rest[0] in ("-c", "--config") else 1
            before, rest = [*before, *rest[:taken]], rest[taken:]
    return list(words) if file is None else [*before, "record", file, *rest]


def run_recorded(file: str, words: Sequence[str], *, config: str | None = None) -> int:
    """The tool's exit code (128 + the signal that ended it).

    :param config: the configuration that `dvm` was given, which is passed down.
    :raises KernelError: FILE cannot be written; when that is known before, nothing was run.
    """
    from drystone.base.clock import SystemClock, format_rfc3339
    from drystone.base.documents import encode
    from drystone.base.files import write_all
    from drystone.dvm.session import Run, to_content
    from drystone.kernel.pipe import run_piped

    try:
        handle = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise KernelError("open", error.errno or 0, device=file) from error
    try:
        stdin = b"" if words[0] in _WITHOUT_STDIN or sys.stdin.isatty() else sys.stdin.buffer.read()
        files = _note_files([*words, *([config] if config else ())])
        at = format_rfc3339(SystemClock().now())
        begin = time.perf_counter_ns()
        done = run_piped([*_program(), *(["-c", config] if config else []), *_record_inner(words, file)], stdin)
        taken = time.perf_counter_ns() - begin
        sys.stdout.buffer.write(done.stdout)
        sys.stdout.buffer.flush()
        sys.stderr.buffer.write(done.stderr)
        sys.stderr.buffer.flush()
        run = Run(
            at=at,
            argv=tuple(words),
            stdin=to_content(stdin),
            files=files,
            stdout=to_content(done.stdout),
            stderr=to_content(done.stderr),
            exit=done.code,
            nanoseconds=taken,
        )
        try:
            write_all(handle, encode(run) + b"\n")
        except OSError as error:
            raise KernelError("write", error.errno or 0, device=file, exit=done.code) from error
    finally:
        os.close(handle)
    return done.code if done.code >= 0 else 128 - done.code


@click.command(cls=Tool)
@errors_as_json
@click.argument("file")
def replay(file: str) -> None:
    """Run the tools of a recorded session again, without devices, and say where they answer otherwise.

    Tools that look at devices are not run: their answers are in FILE, as the stdin of those after them. UUIDs that a
    tool made up may be others.

    \b
    Example:
      dvm replay log.jsonl
    """
    from drystone.dvm.session import Repeated, Replay, is_repeatable, parse_session

    runs = []
    for number, run in enumerate(parse_session(read_input(file), file), 1):
        runs.append(_repeat(number, run) if is_repeatable(run) else Repeated(number, run.argv, "recorded"))
    results = [each.result for each in runs]
    same, different, recorded = (results.count(result) for result in ("same", "different", "recorded"))
    print_document(Replay(same=same, different=different, recorded=recorded, runs=tuple(runs)))
    sys.stdout.flush()
    if different:
        first = next(each for each in runs if each.result == "different")
        raise MismatchError(
            f"{different} of {len(runs)} runs answer otherwise: run {first.line}, {first.place}",
            hint="another version of the tools, or a file that was not noted",
        )


def _repeat(number: int, run: Run) -> Repeated:
    """Run a tool once more, on the files as they were, in a folder of their own.

    A word that only happens to be a file's name keeps its meaning: files are where they were, below that folder.
    """
    import tempfile

    from drystone.dvm.session import Repeated, find_difference, to_bytes
    from drystone.kernel.pipe import run_piped

    with tempfile.TemporaryDirectory(prefix="dvm-replay-") as folder:
        names: dict[str, str] = {}
        for index, (path, content) in enumerate(run.files.items()):
            place = Path(folder, path)
            if Path(path).is_absolute() or ".." in Path(path).parts:
                place = Path(folder, "elsewhere", str(index))
                names[path] = str(place)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(to_bytes(content))
        words = [_renamed(word, names) for word in run.argv]
        done = run_piped([*_program(), *words], to_bytes(run.stdin), cwd=folder)
    outputs = [done.stdout, done.stderr]
    for path, name in names.items():
        outputs = [output.replace(name.encode(), path.encode("utf-8", "surrogateescape")) for output in outputs]
    difference = find_difference(run, done.code, *outputs)
    return Repeated(number, run.argv, "different" if difference else "same", difference)


def _program() -> list[str]:
    return [sys.executable, "-m", "drystone.cli.dvm"]


def _record_inner(words: Sequence[str], file: str) -> list[str]:
    """Have a `dvm` behind `--` recorded in the same file."""
    if "--" not in words:
        return list(words)
    at = list(words).index("--") + 1
    if at >= len(words) or Path(words[at]).name != "dvm":
        return list(words)
    return [*words[: at + 1], "record", str(Path(file).absolute()), *words[at + 1 :]]


def _note_files(words: Sequence[str]) -> dict[str, Content]:
    """The small text files that the words name, `--option=FILE` too."""
    from drystone.dvm.session import MOST_FILE

    found: dict[str, Content] = {}
    for word in words[1:]:
        for name in dict.fromkeys((word, word.partition("=")[2])):
            try:
                path = Path(name)
                if name and path.is_file() and path.stat().st_size <= MOST_FILE:
                    found[name] = path.read_bytes().decode()
            except (OSError, ValueError):  # no file, or no text: what the tool makes of the word is its business
                continue
    return found


def _renamed(word: str, names: dict[str, str]) -> str:
    if word in names:
        return names[word]
    option, equals, value = word.partition("=")
    return f"{option}={names[value]}" if equals and value in names else word
