"""Puts the files in place by which systemd runs a mapper, a storage server, or both."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from typing import Literal, get_args

from drystone.base.installing import InstalledFile, Wanted, check_program, install

Role = Literal["mapper", "storage"]
ROLES: tuple[Role, ...] = get_args(Role)
UNITS = "/etc/systemd/system"
SECRET = "/etc/drystone/fleet.secret"  # noqa: S105  # where it is


def name_unit(role: Role) -> str:
    """`drystone-fleet-mapper.service`."""
    return f"drystone-fleet-{role}.service"


def name_configuration(role: Role) -> str:
    """`/etc/drystone/mapper.toml`."""
    return f"/etc/drystone/{role}.toml"


def render(role: Role, program: str) -> bytes:
    """The text of a unit that calls `program`. :raises UsageError: a path that cannot stand in a unit."""
    check_program(program)
    text = _read(name_unit(role))
    for word, value in (("@PROGRAM@", program), ("@CONFIGURATION@", name_configuration(role)), ("@SECRET@", SECRET)):
        text = text.replace(word, value)
    return text.encode()


def install_services(
    root: str, program: str, roles: Sequence[Role], *, overwrite: bool = False, dry_run: bool = False
) -> tuple[InstalledFile, ...]:
    """Write the units, and configurations to be filled in where there are none. Durable when it returns.

    :raises UsageError, NotFoundError, ExistsError, KernelError: as `render` and `installing.install`; then nothing is
        known to be written.
    """
    wanted: list[Wanted] = []
    for role in roles:
        wanted.append(Wanted(f"{UNITS}/{name_unit(role)}", render(role, program)))
        wanted.append(Wanted(name_configuration(role), _read(f"{role}.toml").encode(), mode=0o600, keep=True))
    return install(root, wanted, overwrite=overwrite, dry_run=dry_run)


def _read(name: str) -> str:
    return (files("drystone.fleet.boot") / name).read_text()
