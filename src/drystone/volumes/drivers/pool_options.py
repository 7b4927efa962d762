"""The options `dm.*` of the driver devicemapper, and the sizes that its volumes may have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from drystone.base.errors import UsageError
from drystone.base.names import check_name
from drystone.base.sizes import SECTOR, format_size, parse_size
from drystone.volumes.options import check_known

NAME = "devicemapper"
KNOWN = (
    "dm.datadev",
    "dm.metadatadev",
    "dm.thinpoolname",
    "dm.thinpoolblocksize",
    "dm.defaultvolumesize",
    "dm.fs",
)
FILE_SYSTEMS = {"ext4": 1 << 20, "xfs": 300 << 20}
"""The kinds of file system, and the least size in bytes that their mkfs takes (ext4 with some room for files)."""


@dataclass(frozen=True, slots=True)
class PoolOptions:
    """The options `dm.*`, checked: block size in sectors of 512 bytes, default size in bytes."""

    data: str
    metadata: str
    name: str
    block_sectors: int
    default_size: int
    file_system: str


def read_options(options: Mapping[str, str]) -> PoolOptions:
    """The options, checked by themselves. :raises UsageError: one error for each thing that is wrong."""
    check_known(options, KNOWN, NAME)
    for key in ("dm.datadev", "dm.metadatadev"):
        if key not in options:
            raise UsageError(f"driver {NAME} needs the option {key}", hint=f"--driver-opts {key}=/dev/...")
        if not options[key].startswith("/"):
            raise UsageError(f"{key}={options[key]} is no absolute path")
    name = check_name(options.get("dm.thinpoolname", "convoy-pool"), "dm.thinpoolname")
    if len(name) > 80:
        raise UsageError("dm.thinpoolname has more than 80 characters: device names could not hold it")
    block_sectors = _read_block_size(options.get("dm.thinpoolblocksize", "4096"))
    default_size = parse_size(options.get("dm.defaultvolumesize", "100G"))
    check_size(default_size, block_sectors * SECTOR, "dm.defaultvolumesize")
    file_system = options.get("dm.fs", "ext4")
    if file_system not in FILE_SYSTEMS:
        raise UsageError(f"dm.fs={file_system} is not known", hint="ext4 or xfs")
    return PoolOptions(options["dm.datadev"], options["dm.metadatadev"], name, block_sectors, default_size, file_system)


def check_size(size: int, block: int, what: str = "size") -> None:
    """:raises UsageError: no whole number of the pool's blocks (bytes both), or none at all."""
    if size <= 0:
        raise UsageError(f"{what} {size} is no size of a volume")
    if size % block:
        below = size - size % block
        near = f"{below} or {below + block}" if below else f"{block}"
        raise UsageError(
            f"{what} {size} is no multiple of the pool's block size of {block} bytes ({format_size(block)})",
            hint=f"take {near}",
        )


def _read_block_size(text: str) -> int:
    """Sectors. Limits: Linux drivers/md/dm-thin.c, 64 KiB to 1 GiB in steps of 64 KiB."""
    if not (text.isascii() and text.isdigit()):
        raise UsageError(f"dm.thinpoolblocksize={text} is no whole number of sectors")
    sectors = int(text)
    if not 128 <= sectors <= 2097152:
        raise UsageError(f"dm.thinpoolblocksize={text} is not between 128 and 2097152 sectors")
    if sectors % 128:
        raise UsageError(f"dm.thinpoolblocksize={text} is no multiple of 128 sectors")
    return sectors
