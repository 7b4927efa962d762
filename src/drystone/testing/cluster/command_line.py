"""A cluster's command line run in this process, against an API over a database of its own."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from drystone.testing.cluster.client import OPERATOR, Client
from drystone.testing.cluster.sender import InProcess


class Done(NamedTuple):
    """A command that has ended."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """What it printed, as JSON."""
        return json.loads(self.out)


class CommandLine:
    """:ivar client: which a test sets things up with. :ivar server: which the commands ask. :ivar token: file of ours.

    :param act: runs a command with words and an object for its context; its exit code.
    """

    def __init__(
        self, client: Client, folder: Path, capsys: pytest.CaptureFixture[str],
        act: Callable[[Sequence[str], object], int],
    ) -> None:  # fmt: skip
        self.client = client
        self.server = InProcess(client)
        self.token = folder / "token"
        self._capsys = capsys
        self._act = act
        self.say(OPERATOR)

    def say(self, token: str) -> None:
        """Have this token shown from now on."""
        self.token.write_text(f"{token}\n")
        self.token.chmod(0o600)

    def run(self, *words: str, servers: Sequence[InProcess] = ()) -> Done:
        """The command with these words. :param servers: that it asks instead of `server`."""
        self._capsys.readouterr()
        code = self._act(words, tuple(servers) or (self.server,))
        return Done(code, *self._capsys.readouterr())

    def must(self, *words: str) -> Any:
        """The document that it prints."""
        done = self.run(*words, "--json")
        assert done.code == 0, done.err
        return done.document
