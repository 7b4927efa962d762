"""Our tools run beside others, in this process, and their outputs side by side."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from drystone.testing.differences import mend
from drystone.testing.peers import Line, Peer

SPELLINGS = {"thin_dump", "thin_delta", "thin_ls", "thin_rmap", "era_dump", "era_invalidate"}
"""Tools that spell otherwise in 0.9."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a tool ended with.

    :ivar code: its exit code. :ivar text: what it printed on stdout. :ivar error: and on stderr.
    """

    code: int
    text: str
    error: str


def run_peer(peer: Peer, tool: str, *arguments: str | os.PathLike[str]) -> Outcome:
    """Run one of theirs."""
    done = peer.run(tool, *arguments)
    return Outcome(done.returncode, done.stdout, done.stderr)


def spell_as(line: Line, tool: str) -> tuple[str, ...]:
    """The flags with which ours spells as that line does."""
    if tool == "thin_rmap":
        return ("--compat", "0.9")  # neither line prints all devices
    return ("--compat", "0.9") if line == "0.9" and tool in SPELLINGS else ()


@dataclass(frozen=True, slots=True)
class Ours:
    """Our tools, run in this process.

    :ivar entry: takes a tool's name and its arguments, prints, and gives the exit code: `cli.pdata_tools.run_tool`.
    """

    entry: Callable[[Sequence[str]], int]

    def run(self, tool: str, *arguments: str | os.PathLike[str]) -> Outcome:
        """Run one of them under its own name."""
        raw = io.BytesIO(), io.BytesIO()
        out, err = (io.TextIOWrapper(each, encoding="utf-8", write_through=True) for each in raw)
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = self.entry([tool, *(os.fspath(each) for each in arguments)])
            out.flush()
            err.flush()
        return Outcome(code, raw[0].getvalue().decode(), raw[1].getvalue().decode())

    def assert_same(self, peer: Peer, tool: str, *arguments: str | os.PathLike[str]) -> str:
        """Ours and theirs succeed and print the same, but for the differences that are known; what ours printed."""
        theirs = run_peer(peer, tool, *arguments)
        ours = self.run(tool, *spell_as(peer.line, tool), *arguments)
        words = " ".join([tool, *(os.fspath(each) for each in arguments)])
        assert (ours.code, theirs.code) == (0, 0), f"{words}: ours {ours.error!r}, {peer.version} {theirs.error!r}"
        assert mend(peer.line, tool, ours.text) == mend(peer.line, tool, theirs.text), f"{words}: {peer.version}"
        return ours.text
