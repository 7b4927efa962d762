"""The console scripts. A tool's plain command line is run without click; all others go to click's groups.

click takes some 25 ms to import, as long as Python itself takes to start, and longer than reading the metadata of a
few devices.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from functools import partial

from drystone.cli.start_up import spare_dataclasses, spare_numpy

_NOUNS = ("era", "thin")


def drystone() -> None:
    """`drystone`."""
    spare_dataclasses()
    from drystone.cli.exits import leave, supervise

    words = sys.argv[1:]
    noun, verb = [*words, "", ""][:2]
    tool = f"{noun}_{verb.replace('-', '_')}" if noun in _NOUNS else ""
    if (action := find_action(tool, words[2:], "drystone")) is not None:
        leave(supervise(action, words))
    from drystone.cli.main import main

    main()


def pdata_tools() -> None:
    """`convoy-pdata_tools`, and every link to it: called by a tool's name it is that tool."""
    spare_dataclasses()
    from drystone.cli.exits import BROKEN_PIPE, INTERRUPTED, leave
    from drystone.cli.tools.plain.table import PLAIN

    called = sys.argv[0].rpartition("/")[2]
    words = [called, *sys.argv[1:]] if called in PLAIN else sys.argv[1:]
    if (action := find_action(words[0] if words else "", words[1:], "convoy-pdata_tools")) is not None:
        try:
            leave(action())
        except KeyboardInterrupt:
            leave(INTERRUPTED)
        except BrokenPipeError:
            leave(BROKEN_PIPE)
    from drystone.cli.pdata_tools import main

    main()


def find_action(tool: str, words: Sequence[str], program: str) -> Callable[[], int] | None:
    """What runs the tool with these words and returns its exit code; None: that is for click."""
    from drystone.cli.exits import name_completion
    from drystone.cli.tools.plain.table import PLAIN
    from drystone.cli.tools.plain.words import read_plain

    plain = PLAIN.get(tool)
    if plain is None or name_completion(program) in os.environ:
        return None
    chosen = read_plain(words, plain)
    return None if chosen is None else partial(_run, tool, plain.place, chosen)


def _run(tool: str, place: str, chosen: dict[str, object]) -> int:
    """:raises BrokenPipeError: the reader of stdout went away; stdout leads nowhere by then."""
    from importlib import import_module

    from drystone.base.errors import DrystoneError
    from drystone.cli.exits import finish_output, open_standard_streams
    from drystone.cli.tools.plain.failures import tell_failure

    open_standard_streams()
    spare_numpy()
    module, _, name = place.partition(":")
    run = getattr(import_module(module), name)

    def act() -> int:
        try:
            code: int = run(**chosen)
        except BrokenPipeError:
            raise
        except (DrystoneError, OSError) as error:
            return tell_failure(error, tool, as_json=bool(chosen["as_json"]))
        return code

    return finish_output(act)


if __name__ == "__main__":
    pdata_tools()
