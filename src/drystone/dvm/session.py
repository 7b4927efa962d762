"""What went in and out of tools, a JSON line a run; and which runs can be repeated without any device.

    {"schema": "drystone.dvm.session", "version": 1, "at": "2026-01-02T15:04:05+01:00", "argv": ["metadata", ...],
     "stdin": "...", "files": {"vg.json": "..."}, "stdout": "...", "stderr": "...", "exit": 0, "nanoseconds": 1}

Bytes that are no UTF-8 are written {"base64": "..."}. `files` are those that `argv` names and that are small texts:
documents, no disks.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Literal

import msgspec

from drystone.base.documents import decode

MOST_FILE = 8 << 20
"""Bytes of the largest file that is noted."""


class Blob(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Bytes that are no text."""

    base64: bytes


Content = str | Blob


class Run(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A run of a tool. :ivar argv: its words, without `dvm`. :ivar exit: negative: the signal that ended it."""

    schema: Literal["drystone.dvm.session"] = "drystone.dvm.session"
    version: Literal[1] = 1
    at: str
    argv: tuple[str, ...]
    stdin: Content = ""
    files: dict[str, Content] = {}
    stdout: Content = ""
    stderr: Content = ""
    exit: int = 0
    nanoseconds: int = 0


class Repeated(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What became of a run when it was repeated.

    :ivar result: `recorded`: it needs devices, and was not repeated. :ivar place: the first line that differs.
    """

    line: int
    argv: tuple[str, ...]
    result: Literal["same", "different", "recorded"]
    place: str = ""


class Replay(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A session, repeated."""

    schema: Literal["drystone.dvm.replay"] = "drystone.dvm.replay"
    version: Literal[1] = 1
    same: int
    different: int
    recorded: int
    runs: tuple[Repeated, ...]


def to_content(data: bytes) -> Content:
    """Bytes as a document holds them."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return Blob(data)


def to_bytes(content: Content) -> bytes:
    """The bytes again."""
    return content.encode() if isinstance(content, str) else content.base64


def parse_session(data: bytes, what: str) -> tuple[Run, ...]:
    """The runs of a log, in order.

    :raises UsageError: a line that is none; with its number.
    """
    lines = data.split(b"\n")
    return tuple(decode(line, Run, f"{what}, line {number}") for number, line in enumerate(lines, 1) if line.strip())


def is_repeatable(run: Run) -> bool:
    """Whether the run looked at nothing but its words, its stdin and the files that were noted."""
    if not run.argv:
        return False
    rule = _RULES.get(run.argv[0])
    return rule is not None and rule(run)


def find_difference(before: Run, exit_: int, stdout: bytes, stderr: bytes) -> str:
    """Where a repeated run differs from the noted one: "" when it does not.

    UUIDs that neither stdin nor a file has are new ones, which differ each time: the first of them stands for the
    first, the second for the second, and so on.
    """
    if before.exit != exit_:
        return f"exit code {exit_}, it was {before.exit}"
    known = _uuids([before.stdin, *before.files.values()], before.argv)
    for name, old, new in (("stdout", to_bytes(before.stdout), stdout), ("stderr", to_bytes(before.stderr), stderr)):
        left, right = _without_new_uuids(old, known), _without_new_uuids(new, known)
        if left != right:
            return _first_line(name, left, right)
    return ""


def _always(_: Run) -> bool:
    return True


def _without_paths(run: Run) -> bool:
    """Whether no path of a device is in the documents: its number would have to be looked up."""
    return not any(re.search(rb'[" ]/', to_bytes(each)) for each in (run.stdin, *run.files.values()))


_RULES: dict[str, Callable[[Run], bool]] = {
    "metadata": _always,
    "volactivate": _always,
    "plan": _always,
    "apply": _always,
    "dmactivate": _without_paths,
    "dmexec": lambda run: "--check" in run.argv,
    "report": lambda run: not {"--live", "live"} & set(run.argv),
}
"""The tools that are functions of their documents, and what must hold of a run."""

_UUID = re.compile(rb"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def _uuids(contents: Iterable[Content], words: Sequence[str]) -> set[bytes]:
    texts = [*map(to_bytes, contents), *(word.encode("utf-8", "surrogateescape") for word in words)]
    return {found for text in texts for found in _UUID.findall(text)}


def _without_new_uuids(data: bytes, known: set[bytes]) -> bytes:
    names: dict[bytes, bytes] = {}

    def replace(match: re.Match[bytes]) -> bytes:
        found = match.group()
        return found if found in known else names.setdefault(found, b"new uuid %d" % (len(names) + 1))

    return _UUID.sub(replace, data)


def _first_line(name: str, left: bytes, right: bytes) -> str:
    old, new = left.split(b"\n"), right.split(b"\n")
    for number in range(max(len(old), len(new))):
        pair = [lines[number] if number < len(lines) else b"(nothing)" for lines in (old, new)]
        if pair[0] != pair[1]:
            texts = [each.decode("utf-8", "backslashreplace")[:200] for each in pair]
            return f"{name}, line {number + 1}: {texts[1]}, it was {texts[0]}"
    return name
