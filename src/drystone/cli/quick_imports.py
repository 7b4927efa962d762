"""Our own modules and the standard library's, imported with four system calls each in place of eleven and more.

A small tool imports a hundred of them, and that is most of its system calls. Python's own finder looks into each folder
of its path, whether it has changed, which kinds of files it has of that name, and opens the compiled one with several
questions more. Here the compiled file is read as it is where Python would put it, and is good when it was made from the
source that is there (size and time of change, as in importlib). Whatever is odd is left to Python's own finder: a
module that was never compiled, a compiled part, a package of namespaces, an archive.
"""

from __future__ import annotations

import marshal
import os
import sys
from _frozen_importlib import ModuleSpec  # what importlib.machinery has, without importing it
from _frozen_importlib_external import MAGIC_NUMBER, SourceFileLoader
from _imp import _fix_co_filename, is_frozen  # type: ignore[attr-defined]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import CodeType, ModuleType

_HEAD = 16
"""Bytes before the code: magic, flags, time, size (PEP 552)."""
_ENDING = f".{sys.implementation.cache_tag}.pyc"
_AT_ONCE = 1 << 15
"""Bytes: nearly all files are shorter. Memory that is asked for, and not used, costs nothing."""


class _Loader(SourceFileLoader):
    """Python's own, which has been given the code."""

    def __init__(self, name: str, path: str, data: bytes) -> None:
        super().__init__(name, path)
        self.data = data

    def get_code(self, fullname: str) -> CodeType | None:
        if not self.data:  # asked for once more, as importlib.reload does
            return super().get_code(fullname)
        code: CodeType = marshal.loads(memoryview(self.data)[_HEAD:])  # noqa: S302  # as Python's own does
        self.data = b""
        _fix_co_filename(code, self.path)  # a tree that was moved brings compiled files along
        return code


class QuickFinder:
    """Finds the modules below some packages, and the standard library's.

    :ivar packages: their names. :ivar library: the folder of the standard library, which comes before all others.
    """

    def __init__(self, *packages: str) -> None:
        self.packages = packages
        self.library = os.__file__.rpartition("/")[0]

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """As importlib's finders have it; None: somebody else finds it."""
        del target
        first, _, name = fullname.rpartition(".")
        first = first.partition(".")[0] or name
        if path is None and name in sys.stdlib_module_names:
            if name in sys.builtin_module_names or is_frozen(name):
                return None
            path = (self.library,)
        elif path is None or len(path) != 1 or (first not in self.packages and first not in sys.stdlib_module_names):
            return None
        folder = path[0]
        inner = f"{folder}/{name}"
        for source, compiled, is_package in (
            (f"{inner}.py", f"{folder}/__pycache__/{name}{_ENDING}", False),
            (f"{inner}/__init__.py", f"{inner}/__pycache__/__init__{_ENDING}", True),
        ):
            data = _read(compiled)
            if data is None:
                continue
            if not _is_current(data, source):
                return None
            spec = ModuleSpec(fullname, _Loader(fullname, source, data), origin=source, is_package=is_package)
            spec.has_location = True
            spec.cached = compiled
            if is_package:
                spec.submodule_search_locations = [inner]
            return spec
        return None


def import_quickly(*packages: str) -> None:
    """Have modules found so from now on, and by Python as before where it puts compiled files elsewhere."""
    if sys.pycache_prefix is None and not sys.flags.optimize and sys.implementation.cache_tag:
        sys.meta_path.insert(0, QuickFinder(*packages))  # each finder before it costs a lock a module


def _read(path: str) -> bytes | None:
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        data = os.read(handle, _AT_ONCE)
        if len(data) == _AT_ONCE:  # whole, and not in pieces: each page of memory that is touched takes its time
            size = os.fstat(handle).st_size
            data = os.pread(handle, size, 0)
            return data if len(data) == size else None
    except OSError:
        return None
    finally:
        os.close(handle)
    return data


def _is_current(data: bytes, source: str) -> bool:
    """Whether compiled code is what Python would have run: made by this Python, from the source as it is now."""
    try:
        found = os.stat(source)  # noqa: PTH116  # small tools start without pathlib
    except OSError:
        return False
    made = (int(found.st_mtime) & 0xFFFFFFFF).to_bytes(4, "little") + (found.st_size & 0xFFFFFFFF).to_bytes(4, "little")
    return len(data) > _HEAD and data[:8] == MAGIC_NUMBER + bytes(4) and data[8:_HEAD] == made
