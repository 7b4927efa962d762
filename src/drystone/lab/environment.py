"""The environment of a command in a guest: the caller's, with what a guest changes."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

_HOST_ONLY = (
    "TMPDIR", "TMP", "TEMP", "XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS", "SSH_AUTH_SOCK", "DISPLAY",
    "WAYLAND_DISPLAY", "NOTIFY_SOCKET", "LISTEN_FDS", "LISTEN_PID", "OLDPWD", "PWD", "PYTHONDONTWRITEBYTECODE",
)  # fmt: skip
"""Variables that name things which do not exist in a guest; and one that keeps bytecode from its overlay, where it does
no harm and saves a daemon's second start half its time."""
MARK = "DRYSTONE_LAB_NODE"
"""Set inside a guest, to the node's name."""


def guest_environment(environment: Mapping[str, str], node: str) -> dict[str, str]:
    """What a command on `node` is given: `python` is this interpreter, TMPDIR a tmpfs, and nothing waits for udev."""
    inside = {key: value for key, value in environment.items() if key not in _HOST_ONLY}
    places = [str(Path(sys.executable).parent), *environment.get("PATH", os.defpath).split(":"), "/usr/sbin", "/sbin"]
    inside.update(
        PATH=":".join(dict.fromkeys(places)),
        TMPDIR="/run/tmp",
        DM_DISABLE_UDEV="1",
        HOME=environment.get("HOME", "/root"),
    )
    inside[MARK] = node
    return inside


def in_guest() -> bool:
    """True for a program that runs inside a guest of a lab."""
    return MARK in os.environ
