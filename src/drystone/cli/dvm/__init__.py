"""`dvm` and `drystone dvm`: the volume manager as tools. Each is a function from documents to a document.

stdout holds exactly one document (JSON, or with --text the text form), stderr the errors, as JSON. A command line that
`plain` can read is run without click; all others, and all help, go to the commands of `group`.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False  # typing has its time, see start_up
if TYPE_CHECKING:
    from typing import NoReturn

    from drystone.cli.dvm.group import TOOLS, dvm

__all__ = ["TOOLS", "dvm", "main", "run_tool"]


def __getattr__(name: str) -> object:
    """The group, imported when it is asked for."""
    if name not in ("TOOLS", "dvm"):
        raise AttributeError(name)
    from drystone.cli.dvm import group

    return getattr(group, name)


def main() -> None:
    """The console script `dvm_python`, which the program `dvm` (server/client.c) starts. Its errors are JSON always."""
    if sys.argv[0].endswith("_python"):
        sys.argv[0] = sys.argv[0].removesuffix("_python")
        _be_named("dvm")
    _run(sys.argv[1:])


def _be_named(name: str) -> None:
    """Have the kernel name this process so, for journals and lists of processes, instead of by its script."""
    try:
        handle = os.open("/proc/self/comm", os.O_WRONLY)
    except OSError:  # no /proc: it keeps its script's
        return
    os.write(handle, name.encode())
    os.close(handle)


def run_tool() -> None:
    """The console scripts `dvm_TOOL`: each is `dvm TOOL`."""
    _run([sys.argv[0].rpartition("/")[2].removeprefix("dvm_"), *sys.argv[1:]])


def _run(words: list[str]) -> NoReturn:
    from drystone.cli.quick_imports import import_quickly

    import_quickly("drystone", "msgspec")
    from drystone.cli.start_up import spare_msgspec

    spare_msgspec()
    from drystone.cli.dvm.plain.run import run_words
    from drystone.cli.exits import leave

    leave(run_words(words))
