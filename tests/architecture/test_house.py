"""The rules of the house that a machine can hold: sizes, names, and what must not be in the tree."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LINES_A_FILE = 500
LINES_A_FUNCTION = 60
DRAWERS = re.compile(r"^(utils?|commons?|helpers?|misc|wrappers?|core|lib)$")
LEFT_OPEN = re.compile(r"\b(TO" + "DO|FIX" + "ME|XX" + r"X)\b|Not" + "ImplementedError")


def tracked(*patterns: str) -> list[Path]:
    """Files that are in the repository, or would be with the next commit."""
    output = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", *patterns],
        cwd=ROOT, check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    return [ROOT / line for line in output.splitlines() if (ROOT / line).exists()]


SOURCES = tracked("*.py")


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def test_there_is_something_to_check() -> None:
    assert len(SOURCES) > 20


def too_large(path: Path) -> list[str]:
    text = path.read_text()
    lines = text.count("\n")
    name = path.relative_to(ROOT)
    return [
        *([f"{name} has {lines} lines: it is more than one room"] if lines >= LINES_A_FILE else ()),
        *(
            f"{name}: {each.name} has {each.end_lineno - each.lineno + 1} lines"
            for each in functions(ast.parse(text))
            if each.end_lineno is not None and each.end_lineno - each.lineno >= LINES_A_FUNCTION
        ),
    ]


def test_files_and_functions_stay_small() -> None:
    assert not [each for path in SOURCES for each in too_large(path)]


def test_nothing_is_left_open() -> None:
    assert not [path for path in SOURCES if LEFT_OPEN.search(path.read_text())]


def test_no_drawers() -> None:
    parts = {part for path in tracked() for part in (*path.relative_to(ROOT).parent.parts, path.stem)}
    assert not [part for part in parts if DRAWERS.match(part)]


def test_every_module_of_the_package_says_what_it_is() -> None:
    silent = [
        str(path.relative_to(ROOT))
        for path in SOURCES
        if path.is_relative_to(ROOT / "src") and not ast.get_docstring(ast.parse(path.read_text()))
    ]
    assert not silent


def test_rooms_mirror_their_unit_tests() -> None:
    rooms = {
        path.name for path in (ROOT / "src" / "drystone").iterdir() if path.is_dir() and path.name != "__pycache__"
    }
    tested = {path.name for path in (ROOT / "tests" / "unit").iterdir() if path.is_dir()}
    assert rooms - tested <= {"testing"}, "testing is proven by the conformance checks that use it"
