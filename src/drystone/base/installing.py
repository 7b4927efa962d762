"""Files that are put in place on a machine, for systemd to find: nothing of somebody else's is written over unasked."""

from __future__ import annotations

import errno
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Literal

import msgspec

from drystone.base.errors import ExistsError, KernelError, NotFoundError, UsageError
from drystone.base.files import replacing, sync_folder, write_all


class InstalledFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A file. :ivar state: what was, or in a rehearsal would be, done with it."""

    path: str
    state: Literal["new", "same", "replaced", "kept"]


@dataclass(frozen=True, slots=True)
class Wanted:
    """A file that is to be there. :ivar path: absolute. :ivar keep: one that is there stays, whatever it holds."""

    path: str
    data: bytes
    mode: int = 0o644
    keep: bool = False


UNITS = "/etc/systemd/system"


@dataclass(frozen=True, slots=True)
class Service:
    """A server that systemd runs. Its unit and the configuration to be filled in are files of a Python package.

    :ivar package: which. :ivar unit: `drystone-fleet-mapper.service`, as it is called there and in UNITS.
    :ivar template: name of the configuration there; :ivar configuration: where that belongs.
    :ivar words: what stands in the unit for each `@NAME@`; PROGRAM and CONFIGURATION are known.
    """

    package: str
    unit: str
    template: str
    configuration: str
    words: Mapping[str, str]

    def render(self, program: str) -> bytes:
        """The text of the unit that calls `program`. :raises UsageError: a path that cannot stand in a unit."""
        check_program(program)
        text = self._read(self.unit)
        for name, value in {"PROGRAM": program, "CONFIGURATION": self.configuration, **self.words}.items():
            text = text.replace(f"@{name}@", value)
        return text.encode()

    def files(self, program: str) -> tuple[Wanted, Wanted]:
        """The unit, and the configuration where there is none. :raises UsageError: as `render`."""
        return (
            Wanted(f"{UNITS}/{self.unit}", self.render(program)),
            Wanted(self.configuration, self._read(self.template).encode(), mode=0o600, keep=True),
        )

    def _read(self, name: str) -> str:
        return (files(self.package) / name).read_text()


def install(
    root: str, wanted: Sequence[Wanted], *, overwrite: bool = False, dry_run: bool = False
) -> tuple[InstalledFile, ...]:
    """Write the files below the folder `root`. Durable when it returns.

    All are looked at before the first is written.

    :raises NotFoundError: there is no such folder. :raises ExistsError: one of the files is there and holds something
        else; not with `overwrite`. :raises KernelError: one cannot be read or written.
    """
    folder = Path(root)
    if not folder.is_dir():
        raise NotFoundError(f"there is no folder {root}")
    found: list[InstalledFile] = []
    try:
        for each in wanted:
            path = folder / each.path.lstrip("/")
            found.append(InstalledFile(str(path), _judge(path, each, overwrite=overwrite)))
        for each, file in zip(wanted, found, strict=True):
            if file.state in {"new", "replaced"} and not dry_run:
                _write(Path(file.path), each.data, each.mode)
    except OSError as error:
        raise KernelError("write", error.errno or errno.EIO, device=str(error.filename or root)) from error
    return tuple(found)


def install_services(
    root: str,
    program: str,
    services: Sequence[Service],
    *others: Wanted,
    overwrite: bool = False,
    dry_run: bool = False,
) -> tuple[InstalledFile, ...]:
    """Write the units, configurations to be filled in where there are none, and `others`. Durable when it returns.

    :raises UsageError, NotFoundError, ExistsError, KernelError: as `Service.render` and `install`; then nothing is
        known to be written.
    """
    wanted = [file for service in services for file in service.files(program)]
    return install(root, [*wanted, *others], overwrite=overwrite, dry_run=dry_run)


def find_program(name: str) -> str:
    """The absolute path of the program that runs, if it is called so, or of the one on PATH.

    :raises NotFoundError: there is none of that name.
    """
    own = sys.argv[0]
    found = own if Path(own).name == name and os.access(own, os.X_OK) else shutil.which(name)
    if found is None:
        raise NotFoundError(f"there is no program {name} on PATH", hint="--program PATH")
    return str(Path(found).absolute())


def check_program(program: str) -> None:
    """:raises UsageError: a path that cannot stand in a unit."""
    if not program.startswith("/") or not program.isprintable() or any(c in program for c in " \t\"'\\%$;"):
        raise UsageError(
            f"{program!r} cannot stand in a unit", hint="--program PATH: absolute, without blanks, quotes and % $ ;"
        )


def _judge(path: Path, wanted: Wanted, *, overwrite: bool) -> Literal["new", "same", "replaced", "kept"]:
    if not path.exists():
        return "new"
    if wanted.keep:
        return "kept"
    if path.read_bytes() == wanted.data:
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
