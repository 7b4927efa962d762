"""Runs a tool of `dvm` by its words: without click where they are plain."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import partial

from drystone.base.errors import KernelError, UsageError
from drystone.cli.dvm.documents import explain
from drystone.cli.dvm.plain.table import LINES, MUTATOR
from drystone.cli.dvm.plain.words import read_line
from drystone.cli.exits import finish_output, name_completion, open_standard_streams, supervise


def run_words(words: Sequence[str]) -> int:
    """Run `dvm WORDS`; its exit code. Errors are printed as JSON."""
    action = find_action(words)
    if action is not None:
        return supervise(action, ["--json"])
    from drystone.cli.dvm.group import dvm
    from drystone.cli.dvm.session import with_log
    from drystone.cli.exits import run

    return run(dvm, ["--json", *with_log(words)] if words else [], name="dvm")


def find_action(words: Sequence[str]) -> Callable[[], int] | None:
    """What runs the tool with these words and returns its exit code; None: that is for click."""
    if name_completion("dvm") in os.environ:
        return None
    for count in (2, 1):
        tool = " ".join(words[:count])
        line = LINES.get(tool)
        chosen = None if line is None else read_line(words[count:], line)
        if line is not None and chosen is not None:
            own = {**chosen, "mutator": words[1]} if line.place == MUTATOR else chosen
            return partial(_run, tool, line.place, own)
    return None


def _run(tool: str, place: str, chosen: dict[str, object]) -> int:
    """:raises DrystoneError: of the tool. :raises OSError: stdout cannot be written; it leads nowhere by then."""
    from importlib import import_module

    open_standard_streams()
    module, _, name = place.partition(":")
    run = getattr(import_module(f"drystone.cli.dvm.plain.{module}"), name)

    def act() -> int:
        try:
            run(**chosen)
        except (KernelError, UsageError) as error:
            told = explain(error, f"dvm {tool}")
            if told is error:
                raise
            raise told from error
        return 0

    return finish_output(act)
