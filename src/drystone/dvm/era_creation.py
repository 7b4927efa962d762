"""Putting an era target over a device: what is found is looked at, a plan is made of that, the plan is run.

A plan has up to two programs. Metadata that is new is first formatted by the kernel itself: the device is made on the
zeroed metadata and removed again. Then the tag with a new session is written (formats/era/tag.py), while nobody has
the metadata, and the device is made. After that discards are forbidden (kernel/queue.py): on Linux 6.1 dm-era marks
only the first block of a discard. The kernel forgets that whenever a table is swapped in.
"""

from __future__ import annotations

import enum
import secrets
import uuid
from collections.abc import Callable
from dataclasses import dataclass

from drystone.base.errors import BusyError, DamagedError, MismatchError, RefusedError, UsageError
from drystone.base.sizes import SECTOR, format_size
from drystone.dvm.era import UUID_PREFIX
from drystone.dvm.instructions import Create, Flush, Load, Remove, Resume, Write
from drystone.dvm.inverse import inverse
from drystone.dvm.program import Program
from drystone.dvm.result import Result
from drystone.dvm.state import Line
from drystone.dvm.unwinding import Writer
from drystone.formats.era.superblock import Superblock, parse_superblock
from drystone.formats.era.tag import Session, read_tag, tag_sector
from drystone.formats.pdata.blocks import BLOCK
from drystone.kernel.blockdev import device_number, open_device, size_of
from drystone.kernel.dm.abc import DeviceNumber
from drystone.kernel.dm.targets import Era
from drystone.kernel.filesystems import probe
from drystone.kernel.release import ERA_KEEPS_WRITESETS
from drystone.kernel.users import user_of

MOST_BLOCKS = (1 << 31) - 1
"""Blocks of an era device at most (Linux 6.1, drivers/md/dm-era-target.c, era_preresume)."""

_ZEROS = bytes(BLOCK)
_EIGHTH = 1018
"""Eras in a block of the era array."""
_BITS = 32576
"""Bits in a block of a writeset."""


class Mode(enum.Enum):
    """What to do with what the metadata device holds."""

    NEW = "it must be zero at its beginning"
    CONTINUE = "it holds this device's metadata: go on with its eras"
    OVERWRITE = "make new metadata, whatever is there"


@dataclass(frozen=True, slots=True)
class Wanted:
    """An era device to be made. `block_size` is bytes, `metadata` and `origin` are paths."""

    name: str
    metadata: str
    origin: str
    block_size: int
    mode: Mode = Mode.NEW


@dataclass(frozen=True, slots=True)
class Ground:
    """What was found. Sizes are bytes; `users` are who has the devices, in words, "" for nobody.

    :ivar first: the first 4096 bytes of the metadata device.
    :ivar signature: the kind of what is known to be on it, such as btrfs, which begins elsewhere; "" for nothing.
    :ivar release: of the kernel.
    """

    metadata: DeviceNumber
    metadata_size: int
    metadata_user: str
    first: bytes
    signature: str
    origin: DeviceNumber
    origin_size: int
    origin_user: str
    release: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Plan:
    """How the device is made.

    :ivar tag: the UUID of the metadata.
    :ivar format: the program that has the kernel write new metadata; None when there is some.
    :ivar superblock: the metadata's first block where there is metadata, else b"".
    :ivar session: the number of this use of the metadata, not 0.
    :ivar notes: what somebody should know, a line each.
    """

    wanted: Wanted
    line: Line
    tag: str
    format: Program | None
    superblock: bytes = b""
    session: int = 0
    notes: tuple[str, ...] = ()

    @property
    def uuid(self) -> str:
        """The dm UUID of the device."""
        return UUID_PREFIX + self.tag

    def activation(self, superblock: bytes) -> Program:
        """The program that writes the tag with the new session, and makes the device.

        :param superblock: the metadata's first block as it is now.
        """
        writer = Writer()
        # The kernel begins an era whenever it activates the device.
        session = Session(self.session, parse_superblock(superblock).current_era + 1)
        sector = tag_sector(superblock, self.tag, session)
        writer.do(Write(self.wanted.metadata, 0, sector.hex()), Flush(self.wanted.metadata))
        _write_device(writer, self)
        return Program(tuple(writer.finish()))


def look(wanted: Wanted, release: tuple[int, int]) -> Ground:
    """Look at the devices.

    :raises NotFoundError: a path leads nowhere. :raises UsageError: one is no block device.
    """
    metadata, origin = device_number(wanted.metadata), device_number(wanted.origin)
    with open_device(wanted.metadata) as device:
        first = device.pread(0, BLOCK) if device.size >= BLOCK else b""
    found = probe(wanted.metadata)
    return Ground(
        metadata=metadata,
        metadata_size=size_of(wanted.metadata),
        metadata_user=user_of(wanted.metadata, metadata),
        first=first,
        signature=(found.kind or "a partition table") if found is not None else "",
        origin=origin,
        origin_size=size_of(wanted.origin),
        origin_user=user_of(wanted.origin, origin),
        release=release,
    )


def least_metadata(blocks: int) -> int:
    """Bytes that the metadata of so many blocks may need: the era array twice (a metadata snapshot shares what did not
    change since), eight writesets, and the trees and space maps around them."""
    array, writeset = -(-blocks // _EIGHTH), -(-blocks // _BITS)
    return BLOCK * (24 + 2 * (array + array // 84 + 1) + 8 * (writeset + 1))


def plan(wanted: Wanted, ground: Ground) -> Plan:
    """Decide; nothing is changed.

    :raises UsageError: a block size or a size that cannot be. :raises BusyError: a device is in use.
    :raises RefusedError: the metadata device holds something. :raises MismatchError: it holds metadata of another
        block size. :raises DamagedError: it holds no sound metadata, and was to be continued.
    """
    _check_sizes(wanted, ground)
    for what, path, user in (
        ("metadata device", wanted.metadata, ground.metadata_user),
        ("origin", wanted.origin, ground.origin_user),
    ):
        if user:
            raise BusyError(f"the {what} {path} is in use: {user}", device=path)
    target = Era(str(ground.metadata), str(ground.origin), wanted.block_size // SECTOR)
    line = Line(0, ground.origin_size // SECTOR, Era.kind, target.to_params())
    if wanted.mode is Mode.CONTINUE:
        return _continue(wanted, ground, line)
    if wanted.mode is Mode.NEW and (ground.signature or ground.first != _ZEROS):
        raise RefusedError(
            f"the metadata device {wanted.metadata} is not empty: it has {ground.signature or _name(ground.first)}",
            hint=_hint(ground.first),
            device=wanted.metadata,
        )
    tag = str(uuid.uuid4())
    return Plan(wanted, line, tag, _format(wanted, ground, line, UUID_PREFIX + tag), session=_new_session())


def _check_sizes(wanted: Wanted, ground: Ground) -> None:
    size = wanted.block_size
    if size < BLOCK or size % BLOCK or size // SECTOR >= 1 << 32:
        raise UsageError(
            f"a block size of {size} bytes: a multiple of 4096 bytes is wanted, below 2 TiB", hint="such as 64k or 1m"
        )
    if ground.metadata == ground.origin:
        raise UsageError("the metadata device and the origin are the same device")
    if not ground.origin_size:
        raise UsageError(f"the origin {wanted.origin} has no bytes")
    blocks = -(-ground.origin_size // size)
    if blocks > MOST_BLOCKS:
        raise UsageError(
            f"{wanted.origin} has {blocks} blocks of {format_size(size)}, {MOST_BLOCKS} are the most",
            hint="take larger blocks",
        )
    least = least_metadata(blocks)
    if ground.metadata_size < least:
        raise UsageError(
            f"the metadata device {wanted.metadata} has {format_size(ground.metadata_size)}; "
            f"{blocks} blocks may need {format_size(least)}",
            hint="take a larger device, or larger blocks",
            least=least,
        )


def _continue(wanted: Wanted, ground: Ground, line: Line) -> Plan:
    if ground.first == _ZEROS:
        raise RefusedError(
            f"there is no metadata on {wanted.metadata} to go on with: it is empty", hint="leave --continue out"
        )
    superblock = _parse(ground.first)
    if superblock is None:
        raise DamagedError(
            f"there is no sound era metadata on {wanted.metadata}: it has {_name(ground.first)}",
            hint=f"drystone era check {wanted.metadata}",
        )
    if superblock.data_block_bytes != wanted.block_size:
        raise MismatchError(
            f"the metadata on {wanted.metadata} is of blocks of {superblock.data_block_bytes} bytes, "
            f"not of {wanted.block_size}",
            hint=f"--block-size {superblock.data_block_bytes}",
        )
    notes, renew = _doubts(superblock, ground, -(-ground.origin_size // wanted.block_size))
    tag = read_tag(ground.first)
    if not tag:
        notes.append("the metadata had no tag and gets one: the next backup copies everything")
    if renew or not tag:
        tag = str(uuid.uuid4())
    return Plan(wanted, line, tag, None, superblock=ground.first, session=_new_session(), notes=tuple(notes))


def _new_session() -> int:
    """Not 0, which stands for none."""
    return secrets.randbelow((1 << 64) - 1) + 1


def _doubts(superblock: Superblock, ground: Ground, blocks: int) -> tuple[list[str], bool]:
    """What is to be told of metadata that goes on, and whether its eras may no longer tell all that was written."""
    notes, renew = [], False
    if superblock.nr_blocks > blocks:
        notes.append(
            f"the origin has shrunk from {superblock.nr_blocks} blocks to {blocks}: the eras of the rest are "
            "forgotten, and the next backup copies everything"
        )
        renew = True
    elif 0 < superblock.nr_blocks < blocks:
        notes.append(f"the origin has grown from {superblock.nr_blocks} blocks to {blocks}")
    if superblock.current_root and ground.release < ERA_KEEPS_WRITESETS:
        notes.append(
            f"the device was not shut down, and Linux {ground.release[0]}.{ground.release[1]} forgets what era "
            f"{superblock.current_era} wrote: the next backup copies everything"
        )
        renew = True
    if superblock.metadata_snap:
        notes.append(f"a metadata snapshot is held at block {superblock.metadata_snap}: drystone era drop drops it")
    return notes, renew


def _format(wanted: Wanted, ground: Ground, line: Line, dm_uuid: str) -> Program:
    """Zero the first block where it is not, and have the kernel write metadata. Undone: as it was."""
    writer = Writer()
    path = wanted.metadata
    if ground.first != _ZEROS:
        back = (Write(path, 0, ground.first.hex(), insist=True), Flush(path, insist=True))
        writer.do(Write(path, 0, _ZEROS.hex()), undo=back)
        writer.do(Flush(path))
    else:
        # What the kernel writes into an empty first block is within its first sector.
        writer.undo_with((Write(path, 0, _ZEROS[:SECTOR].hex(), insist=True), Flush(path, insist=True)))
    create = Create(wanted.name, dm_uuid)
    writer.do(create, undo=inverse(create) or ())
    writer.do(Load(wanted.name, (line,)), Resume(wanted.name))
    writer.do(Remove(wanted.name))
    return Program(tuple(writer.finish()))


def _write_device(writer: Writer, plan_: Plan) -> None:
    create = Create(plan_.wanted.name, plan_.uuid)
    writer.do(create, undo=inverse(create) or ())
    writer.do(Load(plan_.wanted.name, (plan_.line,)), Resume(plan_.wanted.name))


def run_plan(plan_: Plan, run: Callable[[Program], Result]) -> list[Program]:
    """Make the device; the programs that were run.

    When the second program of new metadata fails, the metadata device is made empty again.

    :raises KernelError: a program failed; nothing is left of it.
    """
    if plan_.format is None:
        program = plan_.activation(plan_.superblock)
        run(program).require_done()
        return [program]
    run(plan_.format).require_done()
    path = plan_.wanted.metadata
    try:
        with open_device(path, exclusive=True) as device:
            first = device.pread(0, BLOCK)
        program = plan_.activation(first)
        run(program).require_done()
    except BaseException:
        run(Program((Write(path, 0, _ZEROS.hex()), Flush(path)))).require_done()
        raise
    return [plan_.format, program]


def _parse(block: bytes) -> Superblock | None:
    try:
        return parse_superblock(block)
    except DamagedError:
        return None


def _name(block: bytes) -> str:
    """What a device begins with, in words."""
    superblock = _parse(block)
    if superblock is not None:
        return f"era metadata (era {superblock.current_era}, blocks of {format_size(superblock.data_block_bytes)})"
    return f"the bytes {block[:16].hex(' ')} at its beginning" if block[:16].strip(b"\0") else "bytes other than zero"


def _hint(block: bytes) -> str:
    if _parse(block) is None:
        return "--force overwrites it; is it the right device?"
    return (
        "--continue goes on with it, when nobody wrote to the origin without it; --force makes it anew, "
        "and the next backup copies everything"
    )
