"""The guest's network interfaces, brought up by ioctl (netdevice(7))."""

from __future__ import annotations

import fcntl
import socket
import struct

_SIOCSIFFLAGS = 0x8914
_SIOCSIFADDR = 0x8916
_SIOCSIFNETMASK = 0x891C
_IFF_UP = 1
_IFF_RUNNING = 64


def _name(interface: str) -> bytes:
    return interface.encode().ljust(16, b"\0")


def bring_up(interface: str, address: str = "", prefix: int = 24) -> None:
    """Bring `interface` up, with an IPv4 address when one is given.

    :raises OSError: there is no such interface.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as handle:
        if address:
            for request, value in (
                (_SIOCSIFADDR, socket.inet_aton(address)),
                (_SIOCSIFNETMASK, struct.pack("!I", (0xFFFFFFFF << (32 - prefix)) & 0xFFFFFFFF)),
            ):
                family = struct.pack("=HH4s8x", socket.AF_INET, 0, value)
                fcntl.ioctl(handle, request, _name(interface) + family)
        fcntl.ioctl(handle, _SIOCSIFFLAGS, _name(interface) + struct.pack("=H14x", _IFF_UP | _IFF_RUNNING))
