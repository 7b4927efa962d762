"""What `wipefs` finds on a device: it knows more marks than we do. Debian package util-linux."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from drystone.kernel.programs import find_program, run_program


@dataclass(frozen=True, slots=True)
class Mark:
    """A mark: its kind, such as `ext4`, the byte where it stands, and how many bytes it is (0: not told)."""

    kind: str
    offset: int
    length: int


class _Entry(msgspec.Struct):
    type: str
    offset: str
    length: int | None = None


class _Output(msgspec.Struct):
    signatures: tuple[_Entry, ...] = ()


def list_marks(path: str) -> tuple[Mark, ...]:
    """The marks on a device or file, read only; none where wipefs is not installed or cannot tell."""
    if find_program("wipefs") is None:
        return ()
    done = run_program("wipefs", ["--json", "--no-act", "--output", "OFFSET,LENGTH,TYPE", path], package="util-linux")
    return parse_marks(done.stdout) if done.code == 0 else ()


def parse_marks(text: str) -> tuple[Mark, ...]:
    """The marks in the output of `wipefs --json`; none when it is not of that form."""
    try:
        found = msgspec.json.decode(text, type=_Output)
        return tuple(Mark(each.type, int(each.offset, 0), each.length or 0) for each in found.signatures)
    except (msgspec.DecodeError, ValueError):
        return ()
