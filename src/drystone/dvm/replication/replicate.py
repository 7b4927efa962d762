"""One run of bytes in many regions, replaced by transactions: all regions have the old bytes, or all have the new ones.

    prepare   new pages go where nothing refers to them, then each region's slot says what is coming
    commit    each region's slot says that it has come: one sector, so it cannot tear
    recover   from whatever a crash left: if one region has committed, all do, else none

The format, what is durable when, and when regions agree: docs/reference/region-format.md. What was tried to break it:
docs/explanation/replicated-metadata.md. The caller knows which regions
there are, and leaves out a lost one.

Every function takes `checks`, which tests give to show what each check is for. Errors of all that need regions to
agree: NotFoundError (not formatted), DamagedError, BusyError (prepared), MismatchError (out of step, nothing prepared,
two groups, a region named twice), KernelError (cannot be read). Nothing was changed then.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from drystone.dvm.replication.reading import history, read, status

if TYPE_CHECKING:
    from drystone.dvm.replication.changing import abort, commit, prepare, recover
    from drystone.dvm.replication.formatting import KEEP, add_regions, format_regions

__all__ = [
    "KEEP",
    "abort",
    "add_regions",
    "commit",
    "format_regions",
    "history",
    "prepare",
    "read",
    "recover",
    "status",
]

_LATER = {
    **dict.fromkeys(("abort", "commit", "prepare", "recover"), "changing"),
    **dict.fromkeys(("KEEP", "add_regions", "format_regions"), "formatting"),
}
"""What is imported when it is first asked for: a tool that reads starts without what writes."""


def __getattr__(name: str) -> object:
    if name not in _LATER:
        raise AttributeError(name)
    from importlib import import_module

    return getattr(import_module(f"drystone.dvm.replication.{_LATER[name]}"), name)
