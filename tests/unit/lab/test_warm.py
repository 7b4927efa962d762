"""The warm interpreter's calls, made here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from drystone.lab.guest.warm import answer


def call(target: str, *args: object, **kwargs: object) -> dict[str, Any]:
    reply: dict[str, Any] = json.loads(answer(json.dumps({"target": target, "args": args, "kwargs": kwargs}).encode()))
    return reply


def test_a_function_of_a_module_is_called() -> None:
    assert call("os.path:join", "a", "b") == {"value": "a/b"}
    assert call("builtins:int", "ff", base=16) == {"value": 255}


def test_a_function_of_a_file_is_called_and_its_module_stays(tmp_path: Path) -> None:
    file = tmp_path / "counting.py"
    file.write_text("seen = []\ndef count(n):\n    seen.append(n)\n    return len(seen)\n")
    assert [call(f"{file}:count", 5)["value"] for _ in range(2)] == [1, 2]


@pytest.mark.parametrize(
    ("target", "args", "text"),
    [
        ("os:nothing", (), "AttributeError"),
        ("no.such.module:f", (), "ModuleNotFoundError"),
        ("/no/file.py:f", (), "FileNotFoundError"),
        ("builtins:int", ("x",), "ValueError"),
        ("builtins:object", (), "TypeError"),
        ("sys:exit", (1,), "SystemExit"),
    ],
)
def test_what_goes_wrong_comes_back_with_its_traceback(target: str, args: tuple[object, ...], text: str) -> None:
    reply = call(target, *args)
    assert text in reply["error"]
    assert "Traceback" in reply["traceback"]
