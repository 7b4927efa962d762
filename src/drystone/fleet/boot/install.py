"""The files by which systemd runs a mapper, a storage server, or both."""

from __future__ import annotations

from typing import Literal, get_args

from drystone.base.installing import Service

Role = Literal["mapper", "storage"]
ROLES: tuple[Role, ...] = get_args(Role)
SECRET = "/etc/drystone/fleet.secret"  # noqa: S105  # where it is


def name_unit(role: Role) -> str:
    """`drystone-fleet-mapper.service`."""
    return f"drystone-fleet-{role}.service"


def name_configuration(role: Role) -> str:
    """`/etc/drystone/mapper.toml`."""
    return f"/etc/drystone/{role}.toml"


def describe(role: Role) -> Service:
    """What systemd is to have of a role."""
    return Service(
        "drystone.fleet.boot", name_unit(role), f"{role}.toml", name_configuration(role), {"SECRET": SECRET}
    )  # fmt: skip
