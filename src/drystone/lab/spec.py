"""What a lab is to be: nodes, memory, disks, as values that travel as JSON; and the addresses that follow from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from drystone.base.errors import UsageError
from drystone.base.sizes import SECTOR, format_size

DEFAULT_NAME = "default"
"""The lab that the command line means when it names none."""
SMALLEST_MEMORY = 96 << 20
"""Bytes: with less a guest does not boot."""
DEFAULT_MEMORY = 512 << 20
MOST_NODES = 32
MOST_DISKS = 16
"""A node; nbd offers 16 devices unless told otherwise."""
BOOT_TIMEOUT = 60.0
"""Seconds. A guest is up within 10; a machine that is busy with other things may need longer."""

Init = Literal["agent", "systemd"]
"""A guest's first process; beside systemd the agent is a process of its own."""


@dataclass(frozen=True, slots=True)
class DiskSpec:
    """One disk: its backing file on the host, its size in bytes, and where its log of writes goes ("" for none)."""

    path: str
    size: int
    log: str = ""


@dataclass(frozen=True, slots=True)
class NodeSpec:
    """One guest. `port` counts from 1 and makes its addresses; `memory` is in bytes."""

    name: str
    port: int
    memory: int = DEFAULT_MEMORY
    disks: tuple[DiskSpec, ...] = ()

    @property
    def address(self) -> str:
        """IPv4, among the guests only."""
        return f"10.77.0.{self.port}"

    @property
    def mac(self) -> str:
        """Fixed, so that others find the node again after its next boot."""
        return f"02:00:00:00:00:{self.port:02x}"


@dataclass(frozen=True, slots=True)
class LabSpec:
    """A whole lab.

    `folders` are host folders that the guests may write to, at the same path; `owned` labs end with whoever started
    them; `memory_place` is where the guests' memory lives, `source` the folder that holds our package, `disks_folder`
    what is removed with the lab ("" for nothing). `boot_timeout` is in seconds. `over` is a host folder that lies over
    the host's tree in the guests ("" for none).
    """

    name: str
    nodes: tuple[NodeSpec, ...]
    folders: tuple[str, ...] = ()
    modules: tuple[str, ...] = ()
    owned: bool = True
    boot_timeout: float = BOOT_TIMEOUT
    memory_place: str = ""
    source: str = ""
    disks_folder: str = ""
    init: Init = "agent"
    over: str = ""

    def to_document(self) -> dict[str, Any]:
        """As a JSON object."""
        return asdict(self)


def parse_spec(document: dict[str, Any]) -> LabSpec:
    """The inverse of LabSpec.to_document, for a document that our own program wrote."""
    nodes = tuple(
        NodeSpec(**{**node, "disks": tuple(DiskSpec(**disk) for disk in node["disks"])}) for node in document["nodes"]
    )
    return LabSpec(
        **{**document, "nodes": nodes, "folders": tuple(document["folders"]), "modules": tuple(document["modules"])}
    )


def check_counts(nodes: int, disks: int, memory: int) -> None:
    """Whether a lab of so many nodes with so many disks and bytes of memory each can be.

    :raises UsageError: it cannot.
    """
    if not 1 <= nodes <= MOST_NODES:
        raise UsageError(f"a lab has 1 to {MOST_NODES} nodes, not {nodes}")
    if not 0 <= disks <= MOST_DISKS:
        raise UsageError(f"a node has at most {MOST_DISKS} disks, not {disks}")
    if memory < SMALLEST_MEMORY:
        raise UsageError(
            f"a guest does not boot with {format_size(memory)} of memory",
            hint=f"{format_size(SMALLEST_MEMORY)} or more",
        )


def check_disks(disks: Sequence[DiskSpec]) -> None:
    """Whether disks of one lab can be: their sizes, and that no file is two disks (each would have its own cache).

    :raises UsageError: they cannot.
    """
    for disk in disks:
        if disk.size <= 0 or disk.size % SECTOR:
            raise UsageError(f"a disk of {disk.size} bytes is not possible", hint=f"a multiple of {SECTOR} bytes")
    paths = [path for disk in disks for path in (disk.path, disk.log) if path]
    for path in paths:
        if paths.count(path) > 1:
            raise UsageError(f"{path} is given twice among the lab's disks and their logs")
