"""A Python interpreter that stays: it calls functions by name, one line of JSON a call, so that a call costs no start.

    {"target": "module:function" or "/path/file.py:function", "args": [...], "kwargs": {...}}
    {"value": ...}  or  {"error": "ValueError: ...", "traceback": text}

What the functions print goes to stderr. Modules stay loaded from call to call, and so does what they keep.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import sys
import traceback
from collections.abc import Callable
from types import ModuleType
from typing import Any


def find_function(target: str) -> Callable[..., object]:
    """The function that `target` names: `package.module:name`, `/path/file.py:name`, or `...:Class.name`.

    :raises ImportError: no such module. :raises AttributeError: it has no such function.
    """
    place, _, name = target.rpartition(":")
    found: Any = _load_file(place) if place.endswith(".py") else importlib.import_module(place)
    for part in name.split("."):
        found = getattr(found, part)
    assert callable(found), target
    return found  # type: ignore[no-any-return]  # callable, as the line above has seen


def _load_file(path: str) -> ModuleType:
    key = f"warm:{path}"
    if key not in sys.modules:
        spec = importlib.util.spec_from_file_location(key, path)
        if spec is None or spec.loader is None:
            raise ImportError(f"{path} cannot be imported")
        module = importlib.util.module_from_spec(spec)
        sys.modules[key] = module
        spec.loader.exec_module(module)
    return sys.modules[key]


def answer(line: bytes) -> bytes:
    """One call; its answer's line."""
    try:
        request = json.loads(line)
        value = find_function(request["target"])(*request["args"], **request["kwargs"])
        return json.dumps({"value": value}).encode() + b"\n"
    except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever a function raises is the other side's to hear
        text = "".join(traceback.format_exception_only(error)).strip()
        return json.dumps({"error": text, "traceback": traceback.format_exc()}).encode() + b"\n"


def main() -> None:
    """Answer until stdin closes."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    for line in sys.stdin.buffer:
        answers.write(answer(line))
        answers.flush()


if __name__ == "__main__":
    main()
