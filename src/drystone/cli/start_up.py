"""What makes the start of a command short, beside importing little."""

from __future__ import annotations

import contextlib
import gc
import os
import sys
from _thread import allocate_lock  # threading is what small tools do without
from functools import partial

TYPE_CHECKING = False  # typing is imported by others, once there is a stand-in for what it imports
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any

_ALLOCATIONS = 20_000
"""Objects that are made before garbage is looked for: the interpreter's own 700 come 60 times while numpy is imported.
A stream's work leaves no garbage that must be looked for."""

_SELDOM_USED = ("inspect", "ipaddress", "textwrap", "msgspec.inspect", "msgspec.toml", "msgspec.yaml")
"""Modules that msgspec, dataclasses, pathlib and click import, and use for what few commands do: help, JSON Schema."""

_JSON_SCHEMA = "msgspec._json_schema"
"""Two functions of it are taken by name as msgspec is imported."""

_BETTER_WITHOUT = ("typing_extensions", "_uuid")
"""msgspec prefers the first to typing where it is there, for kinds of types that none of our documents has. With the
second, and a library of C, the module uuid makes those that tell the time: none of ours."""


_REPLACING = allocate_lock()
"""Held while a stand-in is taken out of sys.modules."""


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
    _spare_re()
    for name in _SELDOM_USED:
        defer(name)
    defer("platform", system=lambda: os.uname().sysname)  # all that the module uuid asks for
    defer(_JSON_SCHEMA, **{name: partial(_call_later, _JSON_SCHEMA, name) for name in ("schema", "schema_components")})
    _spare_datetime()
    decimal = type(sys)("decimal")
    vars(decimal)["Decimal"] = type("Decimal", (), {})  # for msgspec to tell that a value is none; ours never are
    wanted: dict[str, Any] = {"decimal": decimal, **dict.fromkeys(_BETTER_WITHOUT)}  # importing None fails
    passing = {name: module for name, module in wanted.items() if name not in sys.modules}
    sys.modules.update(passing)
    try:
        import msgspec  # noqa: F401
    finally:
        for name in passing:
            del sys.modules[name]


def _spare_re() -> None:
    """Let `re` wait for the first pattern. What typing wants of it at once are two types, which are in C."""
    try:
        from _sre import compile as compile_code  # type: ignore[import-not-found]  # CPython's own

        empty = compile_code("", 0, [1], 0, {}, ())  # SUCCESS, in sre's own code
        later = partial(_call_later, "re", "compile")  # msgspec keeps it
        defer("re", Pattern=type(empty), Match=type(empty.match("")), compile=later)
    except (ImportError, TypeError, ValueError, RuntimeError, AttributeError):  # another interpreter: with re
        return


def _spare_datetime() -> None:
    """Let the part of datetime that is in C be the whole module, as it is from Python 3.12 on.

    Before, all of it is there in Python, too, and is made first, to be replaced by that.
    """
    if "datetime" not in sys.modules:
        with contextlib.suppress(ImportError):  # an interpreter that has none goes on with the other
            import _datetime  # type: ignore[import-not-found]  # CPython's own

            sys.modules["datetime"] = _datetime


def _call_later(module: str, name: str, *arguments: Any, **others: Any) -> Any:
    return getattr(_import(module), name)(*arguments, **others)


def _import(name: str) -> ModuleType:
    """The real module, in the place of its stand-in where that is still there."""
    with _REPLACING:  # else a second thread that saw the stand-in would throw out what the first has begun to import
        if name in sys.modules and sys.modules[name].__spec__ is None:
            del sys.modules[name]
    import importlib

    return importlib.import_module(name)


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
        value = getattr(_import(name), attribute)
        vars(stand_in)[attribute] = value
        return value

    vars(stand_in).update(known)
    stand_in.__getattr__ = find  # type: ignore[method-assign]  # as PEP 562 has it
    sys.modules[name] = stand_in
