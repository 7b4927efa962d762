"""The guest's power-cut disks: /dev/nbdN, also called /dev/lab/diskN, each served by a thread of one process in here.

The kernel is told by generic netlink (linux/nbd-netlink.h): it takes one end of a socketpair, the thread the other.
"""

from __future__ import annotations

import os
import socket
import struct
import threading
from pathlib import Path
from typing import Any

from drystone.lab.guest import calls
from drystone.lab.guest.nbd import CachedFile, serve

_NETLINK_GENERIC = 16
_NLM_F_REQUEST_ACK = 5
_NLMSG_ERROR = 2
_GENL_ID_CTRL = 16
_CTRL_CMD_GETFAMILY = 3
_CTRL_ATTR_FAMILY_ID = 1
_CTRL_ATTR_FAMILY_NAME = 2
_NLA_F_NESTED = 1 << 15
_NBD_CMD_CONNECT = 1
_NBD_ATTR_INDEX, _NBD_ATTR_SIZE_BYTES, _NBD_ATTR_BLOCK_SIZE_BYTES = 1, 2, 3
_NBD_ATTR_SERVER_FLAGS, _NBD_ATTR_SOCKETS = 5, 7
_NBD_SOCK_ITEM, _NBD_SOCK_FD = 1, 1
_FLAGS = 1 | 4 | 8 | 32
"""NBD_FLAG_HAS_FLAGS, SEND_FLUSH, SEND_FUA, SEND_TRIM."""
_BLOCK = 512


def _attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(value), kind) + value + b"\0" * (-len(value) % 4)


def _ask(link: socket.socket, family: int, command: int, attributes: bytes) -> bytes:
    """One generic netlink request; the attributes of its answer, if it has one.

    :raises OSError: the kernel refused it.
    """
    body = struct.pack("=BBH", command, 1, 0) + attributes
    link.send(struct.pack("=IHHII", 16 + len(body), family, _NLM_F_REQUEST_ACK, 1, 0) + body)
    answer = b""
    while True:
        data = link.recv(1 << 16)
        while len(data) >= 16:
            length, kind = struct.unpack_from("=IH", data)
            if kind == _NLMSG_ERROR:
                number = -struct.unpack_from("=i", data, 16)[0]
                if number:
                    raise OSError(number, os.strerror(number), "nbd")
                return answer
            answer = data[20:length]
            data = data[(length + 3) & ~3 :]


def _find_family(link: socket.socket, name: bytes) -> int:
    answer = _ask(link, _GENL_ID_CTRL, _CTRL_CMD_GETFAMILY, _attribute(_CTRL_ATTR_FAMILY_NAME, name + b"\0"))
    while len(answer) >= 4:
        length, kind = struct.unpack_from("=HH", answer)
        if kind == _CTRL_ATTR_FAMILY_ID:
            return int(struct.unpack_from("=H", answer, 4)[0])
        answer = answer[(length + 3) & ~3 :]
    raise OSError(2, "the kernel has no netlink family", name.decode())


def connect_disk(link: socket.socket, family: int, index: int, size: int, far_end: int) -> None:
    """Make /dev/nbd`index`, of `size` bytes, out of the socket `far_end`.

    :raises OSError: the kernel refused it.
    """
    item = _attribute(_NBD_SOCK_ITEM | _NLA_F_NESTED, _attribute(_NBD_SOCK_FD, struct.pack("=I", far_end)))
    _ask(
        link,
        family,
        _NBD_CMD_CONNECT,
        _attribute(_NBD_ATTR_INDEX, struct.pack("=I", index))
        + _attribute(_NBD_ATTR_SIZE_BYTES, struct.pack("=Q", size))
        + _attribute(_NBD_ATTR_BLOCK_SIZE_BYTES, struct.pack("=Q", _BLOCK))
        + _attribute(_NBD_ATTR_SERVER_FLAGS, struct.pack("=Q", _FLAGS))
        + _attribute(_NBD_ATTR_SOCKETS | _NLA_F_NESTED, item),
    )


def serve_disks(disks: list[dict[str, Any]], limit: int) -> None:
    """Start a process that serves `disks` and return once their devices are there; `limit` as in CachedFile.

    :raises OSError: it could not.
    """
    ready, tell = os.pipe()
    if os.fork() == 0:
        os.close(ready)
        try:
            _serve_all(disks, limit, tell)
        finally:
            os._exit(1)
    os.close(tell)
    if os.read(ready, 1) != b"+":
        raise OSError(5, "the server of the disks has failed", "nbd")
    os.close(ready)


def _serve_all(disks: list[dict[str, Any]], limit: int, tell: int) -> None:
    os.setsid()
    calls.become_io_flusher()
    calls.outlive_shutdown()  # file systems on the disks are unmounted then
    Path("/proc/self/oom_score_adj").write_text("-1000")  # a command that takes all memory must not take the disks
    link = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_GENERIC)
    link.bind((0, 0))
    family = _find_family(link, b"nbd")
    folder = Path("/dev/lab")
    folder.mkdir()
    threads = []
    for index, disk in enumerate(disks):
        near, far = socket.socketpair()
        cached = CachedFile(os.open(disk["path"], os.O_RDWR), disk["size"], limit)
        log = os.open(disk["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600) if disk["log"] else -1
        threads.append(threading.Thread(target=serve, args=(near, cached, log)))
        threads[-1].start()
        connect_disk(link, family, index, disk["size"], far.fileno())
        far.close()
        (folder / f"disk{index}").symlink_to(f"../nbd{index}")
    os.write(tell, b"+")
    os.close(tell)
    for thread in threads:
        thread.join()
