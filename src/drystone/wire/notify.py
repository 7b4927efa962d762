"""What a service tells systemd: that it is ready, that it lives, that it ends (sd_notify(3)'s protocol)."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket

_LEAST_SECONDS = 0.1


def notify(state: str) -> None:
    """Send a line such as `READY=1` to the service manager; nothing happens where there is none, or it is gone."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
        line.sendto(state.encode(), address)


def watchdog_seconds() -> float:
    """How often the service manager wants to hear that we live, 0.0 for never; it ends us after twice that time."""
    asked = os.environ.get("WATCHDOG_USEC", "")
    if not asked.isdecimal() or os.environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return 0.0
    return max(_LEAST_SECONDS, int(asked) / 2e6)


async def keep_alive() -> None:
    """Tell the service manager that the event loop goes round, for as long as it asks for that."""
    while seconds := watchdog_seconds():
        notify("WATCHDOG=1")
        await asyncio.sleep(seconds)
