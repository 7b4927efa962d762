"""The files by which systemd runs the servers of a cluster."""

from __future__ import annotations

from typing import Literal, get_args

from drystone.base.installing import Service

Role = Literal["api", "monitor", "dpv", "ihost"]
ROLES: tuple[Role, ...] = get_args(Role)
TOKENS = "/etc/drystone/cluster-tokens.toml"


def describe(role: Role) -> Service:
    """What systemd is to have of a role: `drystone-cluster-api.service`, `/etc/drystone/cluster-api.toml`."""
    name = f"cluster-{role}"
    package = "drystone.cluster.boot"
    return Service(
        package, f"drystone-{name}.service", f"{role}.toml", f"/etc/drystone/{name}.toml", {"TOKENS": TOKENS}
    )
