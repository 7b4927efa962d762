"""Puts the files in place by which systemd activates groups as the machine starts, and runs the command server."""

from __future__ import annotations

from importlib.resources import files
from typing import Literal

import msgspec

from drystone.base.installing import InstalledFile, Wanted, check_program, find_program
from drystone.base.installing import install as install_files

TABLE = "/etc/drystone/dvmtab"
"""Which groups become active: read by the generator, written by people."""
UNITS = "/etc/systemd/system"
GENERATORS = "/etc/systemd/system-generators"
UNIT, GENERATOR = "drystone-dvm@.service", "drystone-dvm-generator"
SERVER = ("drystone-dvm-server.socket", "drystone-dvm-server.service")
"""Of the command server, which nobody starts unless the socket is enabled."""
_HEAD = """\
# Groups that become active as the machine starts: GROUP [partial,wait=SECONDS,only=VOLUME,config=FILE,noauto]
"""


class Installed(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What `dvm boot` prints."""

    schema: Literal["drystone.dvm.boot"] = "drystone.dvm.boot"
    version: Literal[1] = 1
    files: tuple[InstalledFile, ...]
    dry_run: bool = False


def render(name: str, program: str) -> bytes:
    """The text of the unit or of the generator, which call `program`.

    :raises UsageError: a path that cannot stand in a unit.
    """
    check_program(program)
    text = (files("drystone.dvm.boot") / name).read_text()
    for word, value in (("@PROGRAM@", program), ("@TABLE@", TABLE), ("@UNITS@", UNITS)):
        text = text.replace(word, value)
    return text.encode()


def install(root: str, program: str, *, overwrite: bool = False, dry_run: bool = False) -> Installed:
    """Write the files below the folder `root`, and an empty table where there is none. Durable when it returns.

    :raises UsageError: as `render`. :raises DrystoneError: as `base.installing.install`.
    """
    wanted = (
        Wanted(f"{UNITS}/{UNIT}", render(UNIT, program)),
        Wanted(f"{GENERATORS}/{GENERATOR}", render(GENERATOR, program), 0o755),
        *(Wanted(f"{UNITS}/{name}", render(name, program)) for name in SERVER),
        Wanted(TABLE, _HEAD.encode(), keep=True),
    )
    return Installed(files=install_files(root, wanted, overwrite=overwrite, dry_run=dry_run), dry_run=dry_run)


def find_self() -> str:
    """The absolute path of the `dvm` that runs, or of the one on PATH.

    :raises NotFoundError: there is none of that name.
    """
    return find_program("dvm")
