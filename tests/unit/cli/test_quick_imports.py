"""Our modules are found where Python's own finder finds them, and run what it would run."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.machinery import FrozenImporter, PathFinder
from pathlib import Path

import pytest

import drystone
from drystone.cli.quick_imports import QuickFinder, import_quickly

SOURCE = Path(drystone.__file__).parent


def list_modules() -> list[tuple[str, Path]]:
    """Names of modules below drystone, and the folders that they are in."""
    files = [path for path in SOURCE.rglob("*.py") if path.parent != SOURCE or path.name != "__init__.py"]
    places = [path.parent if path.name == "__init__.py" else path.with_suffix("") for path in files]
    return [(".".join(("drystone", *place.relative_to(SOURCE).parts)), place.parent) for place in places]


@pytest.mark.parametrize("package", sorted({name.split(".")[1] for name, _ in list_modules()}))
def test_every_module_is_where_python_finds_it(package: str) -> None:
    finder = QuickFinder("drystone")
    modules = [each for each in list_modules() if each[0].split(".")[1] == package]
    assert modules
    for name, folder in modules:
        found, wanted = finder.find_spec(name, [str(folder)]), PathFinder.find_spec(name, [str(folder)])
        assert wanted is not None
        if found is None:  # never compiled, or changed since
            continue
        for attribute in ("name", "origin", "cached", "has_location", "submodule_search_locations", "parent"):
            assert getattr(found, attribute) == getattr(wanted, attribute), name
        assert found.loader is not None
        assert found.loader.is_package(name) == wanted.loader.is_package(name)  # type: ignore[attr-defined,union-attr]


def test_the_standard_library_is_where_python_finds_it() -> None:
    finder = QuickFinder("drystone")
    found = 0
    for name in sorted(sys.stdlib_module_names):
        wanted, quick = PathFinder.find_spec(name), finder.find_spec(name, None)
        if name in sys.builtin_module_names or FrozenImporter.find_spec(name) is not None:
            assert quick is None
        elif quick is not None:
            assert wanted is not None
            assert (quick.origin, quick.cached) == (wanted.origin, wanted.cached)
            found += 1
    assert found > 50
    quick = finder.find_spec("json.decoder", [str(Path(os.__file__).parent / "json")])
    assert quick is not None
    assert quick.parent == "json"
    assert finder.find_spec("msgspec", None) is None
    assert finder.find_spec("msgspec.json", ["/nowhere"]) is None


def test_what_is_built_in_stays_so() -> None:
    program = "import sys, itertools, _sre, zipimport\nprint(itertools.__spec__.origin, zipimport.__spec__.origin)"
    assert run(SOURCE, program) == "built-in frozen"


def run(folder: Path, program: str) -> str:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment["PYTHONPATH"] = os.pathsep.join((str(folder), str(SOURCE.parent)))
    words = [sys.executable, "-c", f"from drystone.cli.quick_imports import *\nimport_quickly('pack')\n{program}"]
    done = subprocess.run(words, capture_output=True, text=True, check=True, timeout=120, env=environment)
    return done.stdout.strip()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    inner = tmp_path / "pack" / "inner"
    inner.mkdir(parents=True)
    (tmp_path / "pack/__init__.py").write_text("")
    (inner / "__init__.py").write_text("from pack.one import VALUE\n")
    (inner / "data.txt").write_text("text")
    (tmp_path / "pack/one.py").write_text("VALUE = 1\n")
    return tmp_path


SHOW = """
import pack.inner as i, pack.one as o
print(i.VALUE, type(o.__loader__).__name__, type(i.__loader__).__name__)
"""


def test_what_was_compiled_is_run_and_what_was_not_is_compiled(folder: Path) -> None:
    assert run(folder, SHOW) == "1 SourceFileLoader SourceFileLoader"
    assert run(folder, SHOW) == "1 _Loader _Loader"


def test_a_change_of_the_source_is_seen(folder: Path) -> None:
    run(folder, SHOW)
    one = folder / "pack/one.py"
    before = one.stat()
    one.write_text("VALUE = 22\n")
    os.utime(one, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert run(folder, SHOW) == "22 SourceFileLoader _Loader", "another size"
    one.write_text("VALUE = 33\n")
    os.utime(one, ns=(before.st_atime_ns, before.st_mtime_ns + 2_000_000_000))
    assert run(folder, SHOW) == "33 SourceFileLoader _Loader", "another time"
    one.unlink()
    (folder / "pack/one").mkdir()
    (folder / "pack/one/__init__.py").write_text("VALUE = 4\n")
    assert run(folder, SHOW).startswith("4 "), "its compiled file is left, its source is not"


@pytest.mark.parametrize("spoilt", [b"", b"\0" * 15, b"\0" * 16, b"\1"])
def test_what_is_no_compiled_file_of_this_python_is_left_to_it(folder: Path, spoilt: bytes) -> None:
    run(folder, SHOW)
    (compiled,) = (folder / "pack/__pycache__").glob("one.*")
    compiled.write_bytes(spoilt + compiled.read_bytes()[1:] if spoilt == b"\1" else spoilt)
    assert run(folder, SHOW) == "1 SourceFileLoader _Loader"


def test_a_file_that_is_checked_by_its_hash_is_left_to_python(folder: Path) -> None:
    program = "import py_compile\nmode = py_compile.PycInvalidationMode.CHECKED_HASH\n"
    run(folder, f"{program}py_compile.compile({str(folder / 'pack/one.py')!r}, invalidation_mode=mode)")
    assert run(folder, SHOW).startswith("1 SourceFileLoader ")


def test_code_says_where_it_is_now_when_its_folder_was_moved(folder: Path) -> None:
    (folder / "pack/two.py").write_text("def where():\n    return where.__code__.co_filename\n")
    program = "import pack.two as t\nprint(type(t.__loader__).__name__, t.where())"
    run(folder, program)
    moved = folder / "elsewhere"
    moved.mkdir()
    (folder / "pack").rename(moved / "pack")
    assert run(moved, program) == f"_Loader {moved / 'pack/two.py'}"


@pytest.mark.parametrize("length", [100_000, *range(32_400, 32_800, 40)])
def test_long_files_are_read_whole(folder: Path, length: int) -> None:
    (folder / "pack/one.py").write_text(f"VALUE = 1\nTEXT = '{'x' * length}'\n")
    run(folder, SHOW)
    assert run(folder, f"{SHOW}\nprint(len(o.TEXT))").splitlines() == ["1 _Loader _Loader", str(length)]


def test_a_file_of_just_the_length_that_is_read_at_once(folder: Path) -> None:
    length = 30_000
    for _ in range(2):
        (folder / "pack/one.py").write_text(f"VALUE = 1\nTEXT = '{'x' * length}'\n")
        run(folder, SHOW)
        (compiled,) = (folder / "pack/__pycache__").glob("one.*")
        size = compiled.stat().st_size
        length += 32_768 - size
    assert size == 32_768
    assert run(folder, SHOW) == "1 _Loader _Loader"


def test_modules_of_other_packages_are_where_python_finds_them() -> None:
    import msgspec

    place = str(Path(msgspec.__file__).parent)
    finder = QuickFinder("drystone", "msgspec")
    for path in sorted(Path(place).glob("*.py")):
        quick, wanted = (find(f"msgspec.{path.stem}", [place]) for find in (finder.find_spec, PathFinder.find_spec))
        assert wanted is not None
        assert quick is None or (quick.origin, quick.cached) == (wanted.origin, wanted.cached)
    assert finder.find_spec("msgspec._core", [place]) is None
    assert QuickFinder("drystone").find_spec("msgspec.json", [place]) is None


def test_reloading_resources_and_sources_work_as_they_do(folder: Path) -> None:
    run(folder, SHOW)
    program = """
import importlib, importlib.resources, inspect, pack.one, pack.inner
importlib.reload(pack.one)
print(importlib.resources.files("pack.inner").joinpath("data.txt").read_text(), inspect.getsource(pack.one).strip())
try:
    import pack.nothing
except ModuleNotFoundError as error:
    print(error)
"""
    assert run(folder, program).splitlines() == ["text VALUE = 1", "No module named 'pack.nothing'"]


def test_compiled_parts_are_found_by_python() -> None:
    assert QuickFinder("drystone").find_spec("drystone.kernel.calls", [str(SOURCE / "kernel")]) is None
    assert QuickFinder("drystone").find_spec("other.formats", [str(SOURCE)]) is None
    assert QuickFinder("drystone").find_spec("drystone.formats", None) is None


def test_where_files_are_compiled_to_another_place_nothing_is_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    before = list(sys.meta_path)
    monkeypatch.setattr(sys, "pycache_prefix", "/nowhere")
    import_quickly("drystone")
    assert sys.meta_path == before
