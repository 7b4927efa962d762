"""What makes the start of a command short, beside importing little."""

from __future__ import annotations

import gc
import os
import sys

_ALLOCATIONS = 20_000
"""Objects that are made before garbage is looked for: the interpreter's own 700 come 60 times while numpy is imported.
A stream's work leaves no garbage that must be looked for."""

_SELDOM_USED = ("inspect", "ipaddress", "textwrap", "msgspec.inspect", "msgspec.toml", "msgspec.yaml")
"""Modules that msgspec, dataclasses, pathlib and click import, and use for what few commands do: help, JSON Schema."""

_BETTER_WITHOUT = "typing_extensions"
"""msgspec prefers it to typing where it is there, for kinds of types that none of our documents has."""


def spare_numpy() -> None:
    """Have the commands that are about to import numpy start sooner. Called before they do.

    numpy's library of linear algebra starts a thread a core, which takes 0.1 s of processor time, and no command
    multiplies matrices. What a user has set himself stays.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    collect_seldom()


def collect_seldom() -> None:
    """Look for garbage seldom: importing makes much that stays, and a short command ends before garbage is a burden."""
    gc.set_threshold(_ALLOCATIONS)


def spare_dataclasses() -> None:
    """Import dataclasses, if somebody does, at half of the cost. Called by a console script before anybody does."""
    defer("inspect")


def spare_msgspec() -> None:
    """Import msgspec at two thirds of the cost, by not importing what it imports and seldom uses.

    Called by a console script before anything else imports it; afterwards it does nothing.
    """
    if "msgspec" in sys.modules:
        return
    collect_seldom()
    for name in _SELDOM_USED:
        defer(name)
    defer("platform", system=lambda: os.uname().sysname)  # all that the module uuid asks for
    is_free = _BETTER_WITHOUT not in sys.modules
    if is_free:
        sys.modules[_BETTER_WITHOUT] = None  # type: ignore[assignment]  # importing it fails then, says the language
    try:
        import msgspec  # noqa: F401
    finally:
        if is_free:
            del sys.modules[_BETTER_WITHOUT]


def defer(name: str, **known: object) -> None:
    """Have the module `name` imported when something in it is first asked for; nothing when it is imported already.

    importlib's own LazyLoader imports a module that is imported twice (until Python 3.12 at least), as these are.

    :param known: attributes that are answered without importing it.
    """
    if name in sys.modules:
        return
    stand_in = type(sys)(name, "Not imported before it is used: see drystone.cli.start_up.")

    def find(attribute: str) -> object:
        if attribute.startswith("__"):
            raise AttributeError(attribute)
        if sys.modules.get(name) is stand_in:
            del sys.modules[name]
        import importlib

        return getattr(importlib.import_module(name), attribute)

    vars(stand_in).update(known)
    stand_in.__getattr__ = find  # type: ignore[method-assign]  # as PEP 562 has it
    sys.modules[name] = stand_in
