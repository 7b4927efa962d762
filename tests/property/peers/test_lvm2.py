"""Our reading of LVM2's metadata against LVM2 itself: groups that Debian's lvm2 makes on loop devices, at random.

The kernel's device-mapper is not needed; kinds that LVM2 makes with its help alone (raid1, mirror) come in by
`vgcfgrestore`, from texts that we write.
"""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from drystone.base.errors import DrystoneError
from drystone.cli.dvm.lvm2 import lvm2
from drystone.dvm.groups.group import Group
from drystone.dvm.lvm2.assembly import assemble
from drystone.dvm.lvm2.conversion import convert
from drystone.dvm.lvm2.groups_document import GroupEntry, SegmentEntry, groups_document
from drystone.dvm.lvm2.rescue import Rescue, rescue
from drystone.dvm.lvm2.survey import survey
from drystone.dvm.reports.lvm_report import lvm_report
from drystone.dvm.reports.report import Subject, report
from drystone.kernel import loop
from drystone.kernel.pages import open_pages
from drystone.kernel.ranges import open_ranges
from drystone.testing.lvm2 import Lvm2, configure, has_lvm2
from drystone.testing.lvm2_metadata import device_uuid, linear, mirror, raid1, striped, write_text, write_volume

SIZE = (12 << 20) + 5 * 512
"""Bytes of a disk: not whole pages, so that a second area ends where no page does."""
DISKS = 4
HIDDEN = '"READ", "WRITE"'
PARTS = (("rmeta", "meta"), ("rimage", "data"))
"""What the parts of raid1 are called: theirs, ours."""

LAYOUTS: tuple[tuple[str, ...], ...] = (
    (),
    ("--metadatasize", "64k"),
    ("--pvmetadatacopies", "2"),
    ("--dataalignment", "192k"),
    ("--labelsector", "2"),
)
"""What pvcreate is told."""

FEW = settings(
    max_examples=8,
    deadline=None,
    phases=(Phase.explicit, Phase.generate),  # a failing case is told as it is: making a smaller one takes minutes
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


class Ground:
    """LVM2 and its disks, which are empty again after `clear`."""

    def __init__(self, folder: Path) -> None:
        self.files = [folder / f"disk{number}" for number in range(DISKS)]
        for file in self.files:
            file.touch()
            os.truncate(file, SIZE)
        self.paths = [loop.attach(str(file)).path for file in self.files]
        self.lvm: Lvm2 = configure(folder, self.paths)

    def clear(self) -> None:
        for path in self.paths:
            with open_pages(path, write=True) as device:
                device.write(0, bytes(2 << 20))
                device.write(device.pages - 512, bytes(512 * 4096))
                device.flush()

    def close(self) -> None:
        for path in self.paths:
            loop.detach(path)

    def show(self) -> list[GroupEntry]:
        with contextlib.ExitStack() as stack:
            surveyed = survey([stack.enter_context(open_ranges(path)) for path in self.paths])
            return list(groups_document(assemble(surveyed), ()).groups)

    def import_group(self) -> Group:
        with contextlib.ExitStack() as stack:
            surveyed = survey([stack.enter_context(open_ranges(path)) for path in self.paths])
        (found,) = assemble(surveyed)
        return convert(found)[0]

    def rescue(self) -> Rescue:
        with contextlib.ExitStack() as stack:
            devices = [stack.enter_context(open_ranges(path)) for path in self.paths]
            return rescue(devices, survey(devices))


@pytest.fixture(scope="module")
def ground() -> Iterator[Ground]:
    if not has_lvm2():
        pytest.skip("lvm2 is not here")
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        try:
            found = Ground(Path(folder))
        except DrystoneError as error:
            pytest.skip(f"no loop devices here: {error.message}")
        try:
            yield found
        finally:
            found.close()


def pick(random: Random, words: Sequence[str]) -> str:
    return random.choice(list(words))


def change(ground: Ground, random: Random, step: int) -> None:
    """One change by one of LVM2's commands. One that LVM2 refuses (no room, no such volume) is no matter."""
    lvm, name = ground.lvm, f"lv{random.randrange(5)}"
    volume = f"vg/{name}"
    commands = {
        "linear": ["lvcreate", "-an", "-Zn", "-Wn", "-l", str(random.randrange(1, 9)), "-n", name, "vg"],
        "on one": ["lvcreate", "-an", "-Zn", "-Wn", "-l", "2", "-n", name, "vg", pick(random, ground.paths)],
        "striped": [
            "lvcreate", "-an", "-Zn", "-Wn", "-i", pick(random, "234"), "-I", pick(random, ("4k", "64k")),
            "-l", str(random.randrange(2, 13)), "-n", name, "vg",
        ],
        "policy": ["lvcreate", "-an", "-Zn", "-Wn", "--alloc", "anywhere", "-pr", "-l", "1", "-n", name, "vg"],
        "zero": ["lvcreate", "-an", "--type", "zero", "-l", "3", "-n", name, "vg"],
        "extend": ["lvextend", "-l", f"+{random.randrange(1, 9)}", volume],
        "reduce": ["lvreduce", "-y", "-f", "-l", "1", volume],
        "remove": ["lvremove", "-y", volume],
        "rename": ["lvrename", "vg", name, f"lv.new_{step}+x"],
        "tag": ["lvchange", "--addtag", f"t{step}/a=b:c!d&e#f", volume],
        "group tag": ["vgchange", "--addtag", f"g{step}", "vg"],
        "device tag": ["pvchange", "--addtag", f"d{step}", pick(random, ground.paths)],
        "no allocation": ["pvchange", "-x", pick(random, "yn"), pick(random, ground.paths)],
        "limit": ["vgchange", "-l", str(random.randrange(20, 90)), "vg"],
        "group policy": ["vgchange", "--alloc", pick(random, ("normal", "cling", "contiguous")), "vg"],
        "add a disk": ["vgextend", "vg", ground.paths[-1]],
        "take a disk": ["vgreduce", "vg", ground.paths[-1]],
    }  # fmt: skip
    lvm.run(*commands[pick(random, list(commands))], check=False)


def make_group(ground: Ground, random: Random) -> None:
    lvm = ground.lvm
    for path in ground.paths:
        lvm.run("pvcreate", *random.choice(LAYOUTS), path)
    lvm.run("vgcreate", "-s", pick(random, ("128k", "256k", "1m")), "vg", *ground.paths[:3])


def compare_group(ground: Ground) -> GroupEntry:
    (entry,) = ground.show()
    fields = (
        "vg_name", "vg_uuid", "vg_seqno", "vg_extent_size", "vg_extent_count", "vg_free_count", "vg_size", "vg_free",
        "pv_count", "max_lv", "max_pv", "vg_tags", "vg_allocation_policy",
    )  # fmt: skip
    assert ground.lvm.report("vgs", fields) == [
        {
            "vg_name": entry.name,
            "vg_uuid": entry.uuid,
            "vg_seqno": str(entry.seqno),
            "vg_extent_size": str(entry.extent_size),
            "vg_extent_count": str(entry.extents),
            "vg_free_count": str(entry.free),
            "vg_size": str(entry.extents * entry.extent_size),
            "vg_free": str(entry.free * entry.extent_size),
            "pv_count": str(len(entry.devices)),
            "max_lv": str(entry.max_volumes),
            "max_pv": str(entry.max_devices),
            "vg_tags": ",".join(sorted(entry.tags)),
            "vg_allocation_policy": entry.allocation,
        }
    ]
    return entry


def compare_devices(ground: Ground, entry: GroupEntry) -> None:
    fields = (
        "pv_name",
        "pv_uuid",
        "dev_size",
        "pe_start",
        "pv_pe_count",
        "pv_pe_alloc_count",
        "pv_tags",
        "pv_allocatable",
    )
    theirs = ground.lvm.report("pvs", fields, "-S", "vg_name=vg")
    ours = [
        {
            "pv_name": each.path,
            "pv_uuid": each.uuid,
            "dev_size": str(each.size),
            "pe_start": str(each.start),
            "pv_pe_count": str(each.extents),
            "pv_pe_alloc_count": str(each.extents - each.free),
            "pv_tags": ",".join(sorted(each.tags)),
            "pv_allocatable": "allocatable" if "ALLOCATABLE" in each.status else "",
        }
        for each in entry.devices
    ]
    assert sorted(ours, key=lambda row: row["pv_name"]) == sorted(theirs, key=lambda row: row["pv_name"])


def compare_volumes(ground: Ground, entry: GroupEntry) -> None:
    fields = ("lv_name", "lv_uuid", "lv_size", "seg_count", "lv_tags", "lv_allocation_policy", "lv_time")
    theirs = ground.lvm.report("lvs", fields, "-a", "-O", "lv_name")
    ours = [
        {
            "lv_name": each.name if each.visible else f"[{each.name}]",
            "lv_uuid": each.uuid,
            "lv_size": str(each.size),
            "seg_count": str(len(each.segments)),
            "lv_tags": ",".join(sorted(each.tags)),
            "lv_allocation_policy": each.allocation or "inherit",
            "lv_time": (each.created or "").replace("T", " ").replace("+00:00", " +0000"),
        }
        for each in entry.volumes
    ]
    assert sorted(ours, key=str) == sorted(theirs, key=str)


def compare_segments(ground: Ground, entry: GroupEntry) -> None:
    fields = ("lv_name", "seg_start_pe", "seg_size_pe", "segtype", "stripe_size", "region_size", "devices")
    theirs = {
        (row["lv_name"].strip("[]"), int(row["seg_start_pe"])): (
            int(row["seg_size_pe"]),
            row["segtype"],
            int(row["stripe_size"]),
            int(row["region_size"]),
            row["devices"],
        )
        for row in ground.lvm.report("lvs", fields, "-a", "--segments")
    }
    paths = {each.name: each.path for each in entry.devices}
    ours = {
        (volume.name, segment.start): (
            segment.extents,
            # LVM2 calls a striped segment of one stripe linear.
            "linear" if segment.type == "striped" and len(segment.places) == 1 else segment.type,
            segment.chunk,
            segment.region,
            spell_places(segment, paths),
        )
        for volume in entry.volumes
        for segment in volume.segments
    }
    assert ours == theirs


def spell_places(segment: SegmentEntry, paths: dict[str, str]) -> str:
    """As lvs spells them: DEVICE(EXTENT) or VOLUME(EXTENT)."""
    places = [f"{paths.get(each.on, each.on)}({each.extent})" for each in segment.places]
    return ",".join([*places, *(f"{name}(0)" for name in segment.images)])


def compare(ground: Ground) -> None:
    entry = compare_group(ground)
    compare_devices(ground, entry)
    compare_volumes(ground, entry)
    compare_segments(ground, entry)


@FEW
@given(st.integers(0, 1 << 32), st.integers(1, 14))
@example(3, 14)
def test_groups_at_random(ground: Ground, seed: int, steps: int) -> None:
    random = Random(seed)
    ground.clear()
    make_group(ground, random)
    for step in range(steps):
        change(ground, random, step)
    compare(ground)
    (row,) = ground.lvm.report("vgs", ["vg_uuid", "vg_seqno"])
    newest = next(each for each in ground.rescue().texts if each.group.uuid == row["vg_uuid"])
    assert newest.proof == "checksum"
    assert str(newest.group.number) == row["vg_seqno"]


def write_text_for(uuids: Sequence[str], volumes: dict[str, str]) -> bytes:
    """A group of these volumes on disks of these UUIDs."""
    text = write_text(volumes, devices=len(uuids), extents=40, extent_size=512, device_size=SIZE // 512, seqno=7)
    for number, uuid in enumerate(uuids):
        text = text.replace(device_uuid(number).encode(), uuid.encode())
    return text


def restored_text(random: Random, uuids: Sequence[str]) -> bytes:
    """A group of kinds that need the kernel to be made, on disks of these UUIDs."""
    free = [0] * len(uuids)

    def take(device: int, extents: int) -> tuple[str, int]:
        free[device] += extents
        return f"pv{device}", free[device] - extents

    volumes: dict[str, str] = {}

    def add(name: str, *segments: str, status: str = f'{HIDDEN}, "VISIBLE"') -> None:
        volumes[name] = write_volume(len(volumes), segments, status=status)

    for number in range(random.randrange(1, 5)):
        name, extents, legs = f"v{number}", random.randrange(2, 6), random.randrange(2, len(uuids) + 1)
        kind = random.choice(("raid1", "mirror", "core", "striped", "error"))
        if kind == "striped":
            add(name, striped(0, extents * legs, [take(device, extents) for device in range(legs)], chunk=32))
        elif kind == "error":
            add(name, f'start_extent = 0\nextent_count = {extents}\ntype = "error"\n', linear(extents, 1, *take(0, 1)))
        elif kind == "raid1":
            names = [f"{name}_{part}_{leg}" for leg in range(legs) for part in ("rmeta", "rimage")]
            add(name, raid1(extents, names, region=1024))
            for position, part in enumerate(names):
                length = extents if position % 2 else 1
                add(part, linear(0, length, *take(position // 2, length)), status=HIDDEN)
        else:
            names = [f"{name}_mimage_{leg}" for leg in range(legs)]
            log = f"{name}_mlog" if kind == "mirror" else ""
            add(name, mirror(extents, names, log=log, region=1024))
            for leg, part in enumerate(names):
                add(part, linear(0, extents, *take(leg, extents)), status=HIDDEN)
            if log:
                add(log, linear(0, 1, *take(0, 1)), status=HIDDEN)
    return write_text_for(uuids, volumes)


@FEW
@given(st.integers(0, 1 << 32))
def test_kinds_that_need_the_kernel(ground: Ground, seed: int) -> None:
    random = Random(seed)
    ground.clear()
    disks = random.randrange(2, DISKS + 1)
    for path in ground.paths[:disks]:
        ground.lvm.run("pvcreate", path)
    rows = ground.lvm.report("pvs", ["pv_name", "pv_uuid"])
    text = ground.lvm.folder / "text"
    text.write_bytes(restored_text(random, [row["pv_uuid"] for row in rows]))
    ground.lvm.run("vgcfgrestore", "-f", str(text), "vg")
    compare(ground)


def spoil(path: str, at: int) -> None:
    """One byte changed; where a place in a text was cut out, a mark that no text has."""
    with open_pages(path, write=True) as device:
        page = bytearray(device.read(at // 4096, 1))
        page[at % 4096] = 0x7B
        device.write(at // 4096, bytes(page))
        device.flush()


def test_lvm2_takes_a_text_that_it_did_not_find(ground: Ground) -> None:
    """The newest text is damaged on every disk: LVM2 has no group. The one before, extracted, makes it whole again."""
    ground.clear()
    lvm = ground.lvm
    lvm.run("vgcreate", "-s", "128k", "vg", *ground.paths)
    for number in range(5):
        lvm.create("vg", f"lv{number}", "-l", "2")
    before = lvm.report("lvs", ["lv_name", "lv_uuid", "lv_size", "seg_pe_ranges"])
    lvm.create("vg", "newest", "-l", "1")
    newest = ground.rescue().texts[0]
    for place in newest.places:
        spoil(place.path, place.area + place.offset + newest.data.index(b"extent_size =") + 3)
    assert lvm.run("vgs", "vg", check=False).returncode != 0
    assert ground.show() == []
    found = ground.rescue()
    assert found.texts[0].group.number == newest.group.number - 1
    result = CliRunner().invoke(lvm2, ["rescue", "--seqno", str(newest.group.number - 1), "--extract", *ground.paths])
    text = lvm.folder / "rescued"
    text.write_bytes(result.stdout_bytes)
    for path in ground.paths:
        lvm.run("pvck", "-y", "--repair", "-f", str(text), path)
    assert lvm.report("lvs", ["lv_name", "lv_uuid", "lv_size", "seg_pe_ranges"]) == before
    compare(ground)


def test_a_group_that_was_removed_comes_back(ground: Ground) -> None:
    ground.clear()
    lvm = ground.lvm
    lvm.run("vgcreate", "-s", "128k", "vg", *ground.paths)
    for number in range(3):
        lvm.create("vg", f"lv{number}", "-l", "2")
    before = lvm.report("lvs", ["lv_name", "lv_uuid", "lv_size", "seg_pe_ranges"])
    lvm.run("vgremove", "-y", "vg")
    assert ground.show() == []
    # vgremove removes the volumes first, and writes a text without them.
    found = next(each for each in ground.rescue().texts if len(each.group.logical) == 3)
    assert found.proof == "copies"
    text = lvm.folder / "rescued"
    text.write_bytes(found.data)
    lvm.run("vgcfgrestore", "-f", str(text), "vg")
    assert lvm.report("lvs", ["lv_name", "lv_uuid", "lv_size", "seg_pe_ranges"]) == before
    compare(ground)


def make_every_kind(ground: Ground) -> None:
    """A group of what comes over from LVM2: linear, striped, raid1; tags; a device that is not allocated from."""
    lvm = ground.lvm
    lvm.run("pvcreate", *ground.paths)
    parts = [f"safe_{kind}_{leg}" for leg in range(2) for kind, _ in PARTS]
    volumes = {"safe": write_volume(0, [raid1(3, parts, region=1024)])}
    for number, part in enumerate(parts):
        begin, extents = (1, 3) if "image" in part else (0, 1)
        volumes[part] = write_volume(number + 1, [linear(0, extents, f"pv{number // 2}", begin)], status=HIDDEN)
    file = lvm.folder / "text"
    file.write_bytes(write_text_for([row["pv_uuid"] for row in lvm.report("pvs", ["pv_name", "pv_uuid"])], volumes))
    lvm.run("vgcfgrestore", "-f", str(file), "vg")
    lvm.create("vg", "home", "-l", "3", "--addtag", "t2", "--addtag", "t1")
    lvm.create("vg", "wide", "-l", "6", "-i", "3", "-I", "16k")
    lvm.run("lvextend", "-l", "+4", "vg/home")
    lvm.run("lvextend", "-l", "+6", "vg/wide")
    lvm.run("vgchange", "--addtag", "g2", "--addtag", "g1", "vg")
    lvm.run("pvchange", "-x", "n", ground.paths[3])


def spell_alike(row: dict[str, str]) -> dict[str, str]:
    """A row of either, without what is unlike: parts have names of their own in both, and no kernel was asked."""
    found = dict(row)
    for key in ("pv_fmt", "devices"):  # ours are paths in the row of a volume, LVM2's extents in a row each
        found.pop(key, None)
    if found.get("segtype") == "raid1":
        found.pop("seg_pe_ranges", None)
    if "lv_attr" in found:  # type, permission, allocation; LVM2 has X for what it does not know
        found["lv_attr"] = found["lv_attr"][:3].lower()
    if "lv_name" in found:
        for theirs, ours in PARTS:
            found["lv_name"] = found["lv_name"].replace(f"_{theirs}_", f":{ours}")
    return found


def test_our_report_has_lvm2s_keys_and_values(ground: Ground) -> None:
    ground.clear()
    make_every_kind(ground)
    group = ground.import_group()
    subject = Subject(group, {device.uuid: device.path for device in group.devices}, None, True)
    (ours,) = lvm_report(report(subject, ("vgs", "pvs", "lvs", "segments")))["report"]
    for table, command, words in (
        ("vg", "vgs", ()), ("pv", "pvs", ()), ("lv", "lvs", ("-a",)), ("seg", "lvs", ("-a", "--segments")),
    ):  # fmt: skip
        asked = [key for key in ours[table][0] if key != "devices"]
        rows, default = (
            json.loads(ground.lvm.run(command, "--reportformat", "json", *more, *words).stdout)["report"][0][table]
            for more in (("--units", "b", "-o", ",".join(asked)), ())
        )
        alike = [dict(each) for each in {tuple(spell_alike(row).items()) for row in rows}]  # of a volume one a segment
        assert sorted(map(spell_alike, ours[table]), key=str) == sorted(alike, key=str), table
        assert set(default[0]) - {"lv_attr"} <= set(asked)
