"""Plans of era devices: what is refused, and what a plan does on a simulated kernel."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from pathlib import Path

import pytest

from drystone.base.errors import BusyError, DamagedError, DrystoneError, MismatchError, RefusedError, UsageError
from drystone.dvm.check import check
from drystone.dvm.dmexec import execute
from drystone.dvm.era_creation import Ground, Mode, Wanted, least_metadata, plan
from drystone.dvm.instructions import Write
from drystone.formats.era import layout
from drystone.formats.era.superblock import parse_superblock
from drystone.formats.era.tag import Session, read_sessions, read_tag, tag_sector
from drystone.formats.pdata.checksum import ERA_SUPERBLOCK, checksum_block
from drystone.kernel.dm.abc import DeviceNumber
from drystone.kernel.dm.simulated import SimulatedDeviceMapper

TAG = "11111111-2222-4333-8444-555555555555"
WANTED = Wanted("db", "/dev/m", "/dev/o", 65536)
GROUND = Ground(
    metadata=DeviceNumber(7, 0),
    metadata_size=1 << 20,
    metadata_user="",
    first=bytes(4096),
    signature="",
    origin=DeviceNumber(7, 1),
    origin_size=100 * 65536,
    origin_user="",
    release=(6, 1),
)


def superblock(*, blocks: int = 100, sectors: int = 128, era: int = 9, current: int = 0, snap: int = 0) -> bytes:
    """An era superblock without trees."""
    fields = (0, 0, 0, bytes(16), layout.MAGIC, 1, bytes(128), sectors, 8, blocks, era, blocks, current, 10, 11, snap)
    block = layout.SUPERBLOCK.pack(*fields).ljust(4096, b"\0")
    return checksum_block(block, ERA_SUPERBLOCK).to_bytes(4, "little") + block[4:]


def tagged(block: bytes) -> bytes:
    return tag_sector(block, TAG, Session(77, 3)) + block[512:]


@pytest.mark.parametrize(
    ("wanted", "ground", "error", "text"),
    [
        ({"block_size": 65536 + 512}, {}, UsageError, "multiple of 4096"),
        ({"block_size": 0}, {}, UsageError, "multiple of 4096"),
        ({"block_size": 1 << 41}, {}, UsageError, "below 2 TiB"),
        ({}, {"origin": DeviceNumber(7, 0)}, UsageError, "the same device"),
        ({}, {"origin_size": 0}, UsageError, "has no bytes"),
        ({"block_size": 4096}, {"origin_size": 1 << 43}, UsageError, "2147483647 are the most"),
        ({}, {"metadata_size": 4096}, UsageError, "may need"),
        ({}, {"metadata_user": "mounted at /x"}, BusyError, "/dev/m is in use: mounted at /x"),
        ({}, {"origin_user": "in use"}, BusyError, "/dev/o is in use"),
        ({}, {"first": b"x" * 4096}, RefusedError, "it has the bytes 78"),
        ({}, {"first": bytes(600) + b"x" * 3496}, RefusedError, "bytes other than zero"),
        ({}, {"first": superblock()}, RefusedError, "era metadata .era 9, blocks of 64.0 KiB"),
        ({}, {"signature": "btrfs"}, RefusedError, "it has btrfs"),
        ({"mode": Mode.CONTINUE}, {}, RefusedError, "it is empty"),
        ({"mode": Mode.CONTINUE}, {"first": b"x" * 4096}, DamagedError, "no sound era metadata"),
        ({"mode": Mode.CONTINUE}, {"first": superblock(sectors=64)}, MismatchError, "blocks of 32768 bytes"),
    ],
)
def test_what_is_refused(
    wanted: dict[str, object], ground: dict[str, object], error: type[DrystoneError], text: str
) -> None:
    with pytest.raises(error, match=text):
        plan(replace(WANTED, **wanted), replace(GROUND, **ground))  # type: ignore[arg-type]


def test_new_metadata_is_formatted_by_the_kernel(tmp_path: Path) -> None:
    path = tmp_path / "metadata"
    path.write_bytes(bytes(4096))
    made = plan(replace(WANTED, metadata=str(path)), GROUND)
    dm = SimulatedDeviceMapper({DeviceNumber(7, 0): 2048, DeviceNumber(7, 1): 12800})
    assert made.format is not None
    check(made.format)
    assert execute(made.format, dm, memory=contextlib.nullcontext).outcome == "done"
    assert dm.list_devices() == []
    program = made.activation(superblock(era=1))
    check(program)
    (write,) = [each for each in program.instructions if isinstance(each, Write) and not each.insist]
    assert (write.device, write.offset, len(write.data)) == (str(path), 0, 512)
    whole = write.data + superblock(era=1)[512:]
    assert read_tag(whole) == made.tag
    assert parse_superblock(whole).current_era == 1


def test_what_is_overwritten_comes_back_when_it_fails() -> None:
    found = b"x" * 4096
    made = plan(replace(WANTED, mode=Mode.OVERWRITE), replace(GROUND, first=found))
    assert made.format is not None
    check(made.format)
    writes = [each for each in made.format.instructions if isinstance(each, Write)]
    assert [(each.data, each.insist) for each in writes] == [(bytes(4096), False), (found, True)]


def test_going_on_keeps_the_tag(tmp_path: Path) -> None:
    block = tagged(superblock())
    path = tmp_path / "metadata"
    made = plan(replace(WANTED, mode=Mode.CONTINUE, metadata=str(path)), replace(GROUND, first=block))
    assert (made.format, made.tag, made.uuid, made.notes) == (None, TAG, f"DRYSTONE-ERA-{TAG}", ())
    program = made.activation(block)
    (write,) = [each for each in program.instructions if isinstance(each, Write)]
    after = write.data + block[512:]
    assert (read_tag(after), read_sessions(after)) == (TAG, (Session(made.session, 10), Session(77, 3)))
    path.write_bytes(block)
    dm = SimulatedDeviceMapper({DeviceNumber(7, 0): 2048, DeviceNumber(7, 1): 12800})
    assert execute(program, dm, memory=contextlib.nullcontext).outcome == "done"
    assert dm.info("db").uuid == made.uuid


@pytest.mark.parametrize(
    ("block", "release", "text"),
    [
        (superblock(), (6, 1), "had no tag and gets one"),
        (tagged(superblock(blocks=101)), (6, 1), "has shrunk from 101 blocks to 100"),
        (tagged(superblock(current=33)), (5, 11), "forgets what era 9 wrote"),
    ],
)
def test_doubtful_metadata_gets_a_new_tag(block: bytes, release: tuple[int, int], text: str) -> None:
    made = plan(replace(WANTED, mode=Mode.CONTINUE), replace(GROUND, first=block, release=release))
    assert made.tag != TAG
    assert text in " ".join(made.notes)
    (write,) = [each for each in made.activation(block).instructions if isinstance(each, Write)]
    after = write.data + block[512:]
    assert (read_tag(after), read_sessions(after)) == (made.tag, (Session(made.session, 10),))


@pytest.mark.parametrize(
    ("block", "release", "text"),
    [
        (tagged(superblock(blocks=99)), (6, 1), "has grown from 99 blocks to 100"),
        (tagged(superblock(current=33)), (5, 12), ""),
        (tagged(superblock(current=0)), (5, 11), ""),
        (tagged(superblock(blocks=0)), (6, 1), ""),
        (tagged(superblock(snap=40)), (6, 1), "held at block 40"),
    ],
)
def test_sound_metadata_keeps_its_tag(block: bytes, release: tuple[int, int], text: str) -> None:
    made = plan(replace(WANTED, mode=Mode.CONTINUE), replace(GROUND, first=block, release=release))
    assert made.tag == TAG
    assert text in " ".join(made.notes)
    assert bool(made.notes) == bool(text)


def test_the_estimate_grows_with_the_blocks() -> None:
    assert least_metadata(1) < 1 << 18
    assert 2 * 4 * (1 << 24) < least_metadata(1 << 24) < 4 * 4 * (1 << 24)
