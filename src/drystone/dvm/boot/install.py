"""Puts the files in place by which systemd activates groups as the machine starts."""

from __future__ import annotations

import errno
import os
import shutil
import sys
from importlib.resources import files
from pathlib import Path
from typing import Literal

import msgspec

from drystone.base.errors import ExistsError, KernelError, NotFoundError, UsageError
from drystone.base.files import replacing, sync_folder, write_all

TABLE = "/etc/drystone/dvmtab"
"""Which groups become active: read by the generator, written by people."""
UNITS = "/etc/systemd/system"
GENERATORS = "/etc/systemd/system-generators"
UNIT, GENERATOR = "drystone-dvm@.service", "drystone-dvm-generator"
_HEAD = """\
# Groups that become active as the machine starts: GROUP [partial,wait=SECONDS,only=VOLUME,config=FILE,noauto]
"""


class BootFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A file. :ivar state: what was, or in a rehearsal would be, done with it."""

    path: str
    state: Literal["new", "same", "replaced", "kept"]


class Installed(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What `dvm boot` prints."""

    schema: Literal["drystone.dvm.boot"] = "drystone.dvm.boot"
    version: Literal[1] = 1
    files: tuple[BootFile, ...]
    dry_run: bool = False


def render(name: str, program: str) -> bytes:
    """The text of the unit or of the generator, which call `program`.

    :raises UsageError: a path that cannot stand in a unit.
    """
    if not program.startswith("/") or not program.isprintable() or any(c in program for c in " \t\"'\\%$;"):
        raise UsageError(
            f"{program!r} cannot stand in a unit", hint="--program PATH: absolute, without blanks, quotes and % $ ;"
        )
    text = (files("drystone.dvm.boot") / name).read_text()
    for word, value in (("@PROGRAM@", program), ("@TABLE@", TABLE), ("@UNITS@", UNITS)):
        text = text.replace(word, value)
    return text.encode()


def install(root: str, program: str, *, overwrite: bool = False, dry_run: bool = False) -> Installed:
    """Write the files below the folder `root`, and an empty table where there is none. Durable when it returns.

    All are looked at before the first is written.

    :raises UsageError: as `render`. :raises NotFoundError: there is no such folder.
    :raises ExistsError: one of the files is there and holds something else; not with `overwrite`.
    :raises KernelError: one cannot be read or written.
    """
    folder = Path(root)
    if not folder.is_dir():
        raise NotFoundError(f"there is no folder {root}")
    wanted = (
        (_below(folder, UNITS, UNIT), render(UNIT, program), 0o644),
        (_below(folder, GENERATORS, GENERATOR), render(GENERATOR, program), 0o755),
    )
    table = _below(folder, str(Path(TABLE).parent), Path(TABLE).name)
    try:
        found = [BootFile(str(path), _judge(path, data, overwrite=overwrite)) for path, data, _ in wanted]
        found.append(BootFile(str(table), "kept" if table.exists() else "new"))
        if not dry_run:
            for (path, data, mode), each in zip(wanted, found, strict=False):
                if each.state != "same":
                    _write(path, data, mode)
            if not table.exists():
                _write(table, _HEAD.encode(), 0o644)
    except OSError as error:
        raise KernelError("write", error.errno or errno.EIO, device=str(error.filename or root)) from error
    return Installed(files=tuple(found), dry_run=dry_run)


def find_self() -> str:
    """The absolute path of the `dvm` that runs, or of the one on PATH.

    :raises NotFoundError: there is none of that name.
    """
    own = sys.argv[0]
    found = own if Path(own).name == "dvm" and os.access(own, os.X_OK) else shutil.which("dvm")
    if found is None:
        raise NotFoundError("there is no program dvm on PATH", hint="--program PATH")
    return str(Path(found).absolute())


def _below(root: Path, folder: str, name: str) -> Path:
    return root / folder.lstrip("/") / name


def _judge(path: Path, data: bytes, *, overwrite: bool) -> Literal["new", "same", "replaced"]:
    if not path.exists():
        return "new"
    if path.read_bytes() == data:
        return "same"
    if not overwrite:
        raise ExistsError(f"{path} is there and holds something else", hint="--overwrite", path=str(path))
    return "replaced"


def _write(path: Path, data: bytes, mode: int) -> None:
    for folder in reversed([each for each in path.parents if not each.exists()]):
        folder.mkdir(exist_ok=True)
        sync_folder(folder.parent)
    with replacing(path, mode=mode) as file:
        os.fchmod(file.fileno(), mode)  # whatever the umask took away
        write_all(file.fileno(), data)
