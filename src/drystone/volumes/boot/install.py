"""What systemd and Docker are to have of the volume daemon."""

from __future__ import annotations

from drystone.base.installing import Service, Wanted

UNIT = "drystone-volumes.service"
CONFIGURATION = "/etc/drystone/volumes.conf"
SOCKET = "/run/convoy/convoy.sock"
"""The default of the commands, without the link that /var/run is."""
PLUGIN = "/etc/docker/plugins/drystone.spec"
"""Docker's name of the plugin is the file's: `docker volume create -d drystone`."""


def describe() -> Service:
    """The unit, and the daemon's options to be filled in."""
    return Service("drystone.volumes.boot", UNIT, "volumes.conf", CONFIGURATION, {"SOCKET": SOCKET})


def docker_plugin() -> Wanted:
    """Where Docker finds the daemon. Source: Docker's documentation, "Docker Plugin API", plugin discovery."""
    return Wanted(PLUGIN, f"unix://{SOCKET}\n".encode())
