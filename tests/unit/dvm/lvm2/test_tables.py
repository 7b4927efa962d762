from __future__ import annotations

from typing import Any

import pytest

from drystone.base.errors import NotFoundError, UnsupportedError
from drystone.dvm.dmactivate import activate
from drystone.dvm.lvm2.assembly import Assembled, assemble
from drystone.dvm.lvm2.survey import survey
from drystone.dvm.lvm2.tables import Tables, build_tables, reasons, with_current
from drystone.dvm.state import Device, Line, State
from drystone.kernel.dm.abc import DeviceNumber, TableLine
from drystone.kernel.dm.simulated import SimulatedDeviceMapper
from drystone.testing.lvm2_metadata import (
    GROUP_UUID,
    device_uuid,
    linear,
    mirror,
    raid1,
    striped,
    volume_uuid,
    write_device,
    write_text,
    write_volume,
)

HIDDEN = '"READ", "WRITE"'
SIZE = 4 << 20


def assembled(
    volumes: dict[str, str], *, there: tuple[int, ...] = (0, 1, 2), size: int = SIZE, **more: Any
) -> Assembled:
    text = write_text(volumes, devices=3, **more)
    (found,) = assemble(survey([write_device(number, [text], size=size) for number in there]))
    return found


def build(volumes: dict[str, str], *names: str, **more: Any) -> Tables:
    return build_tables(assembled(volumes, **more), names)


def tables(state: State) -> dict[str, list[str]]:
    return {
        device.name: [f"{line.start} {line.length} {line.target} {line.params}".rstrip() for line in device.table]
        for device in state.devices
    }


def lv(*segments: str, number: int = 1, **more: Any) -> str:
    return write_volume(number, segments, **more)


def hidden(number: int, *segments: str, **more: Any) -> str:
    return write_volume(number, segments, status=HIDDEN, **more)


def images(**more: str) -> dict[str, str]:
    """Two images with metadata, on two devices."""
    return {
        **more,
        "r_rimage_0": hidden(11, linear(0, 4, "pv0", 1)),
        "r_rmeta_0": hidden(12, linear(0, 1, "pv0", 0)),
        "r_rimage_1": hidden(13, linear(0, 4, "pv1", 1)),
        "r_rmeta_1": hidden(14, linear(0, 1, "pv1", 0)),
    }


RAID = raid1(4, ["r_rmeta_0", "r_rimage_0", "r_rmeta_1", "r_rimage_1"])


def test_linear_and_striped() -> None:
    volumes = {
        "a-b": lv(linear(0, 2, "pv0", 3), linear(2, 1, "pv2", 0)),
        "two": lv(striped(0, 4, [("pv1", 0), ("pv2", 5)], chunk=64), number=2),
    }
    built = build(volumes, name="v-g")
    assert tables(built.state) == {
        "v--g-a--b": ["0 1024 linear /dev/test0 3584", "1024 512 linear /dev/test2 2048"],
        "v--g-two": ["0 2048 striped 2 64 /dev/test1 2048 /dev/test2 4608"],
    }
    assert built.left_out == built.notes == {}
    assert built.state.devices[0].uuid == f"LVM-{GROUP_UUID}{volume_uuid(1)}".replace("-", "").replace("LVM", "LVM-")


def test_raid1() -> None:
    built = build(images(r=lv(RAID, status=f'{HIDDEN}, "VISIBLE", "NOTSYNCED"')))
    legs = "{vg-r_rmeta_0} {vg-r_rimage_0} {vg-r_rmeta_1} {vg-r_rimage_1}"
    assert tables(built.state) == {
        "vg-r_rmeta_0": ["0 512 linear /dev/test0 2048"],
        "vg-r_rimage_0": ["0 2048 linear /dev/test0 2560"],
        "vg-r_rmeta_1": ["0 512 linear /dev/test1 2048"],
        "vg-r_rimage_1": ["0 2048 linear /dev/test1 2560"],
        "vg-r": [
            f"0 2048 raid raid1 4 0 nosync region_size 4096 2 {legs}",
        ],
    }


def test_raid1_with_settings() -> None:
    volumes = images(r=lv(RAID + "writebehind = 512\nmin_recovery_rate = 10\n"))
    volumes["r_rimage_1"] = volumes["r_rimage_1"].replace(HIDDEN, f'{HIDDEN}, "WRITEMOSTLY"')
    assert tables(build(volumes).state)["vg-r"][0].startswith(
        "0 2048 raid raid1 9 0 min_recovery_rate 10 write_mostly 1 max_write_behind 512 region_size 4096 2 "
    )


@pytest.mark.parametrize("there", [(1, 2), (0, 2)])
def test_raid1_goes_on_with_one_image(there: tuple[int, ...]) -> None:
    built = build(images(r=lv(RAID)), there=there)
    left, gone = (1, 0) if 1 in there else (0, 1)
    legs = [f"{{vg-r_rmeta_{left}}} {{vg-r_rimage_{left}}}", "- -"]
    params = " ".join(legs if left == 0 else legs[::-1])
    assert tables(built.state)["vg-r"] == [f"0 2048 raid raid1 3 0 region_size 4096 2 {params}"]
    assert len(built.state.devices) == 3
    assert built.notes == {"r": f"made without r_rimage_{gone}: a device is missing"}


def test_raid1_without_any_image() -> None:
    built = build(images(r=lv(RAID)), there=(2,))
    assert built.state.devices == ()
    assert built.left_out == {"r": "the devices of all its images are missing"}


def test_mirrors() -> None:
    volumes = {
        "m": lv(mirror(4, ["m0", "m1"], log="log"), status=f'{HIDDEN}, "VISIBLE", "NOTSYNCED"'),
        "m0": hidden(2, linear(0, 4, "pv0", 0)),
        "m1": hidden(3, linear(0, 4, "pv1", 0)),
        "log": hidden(4, linear(0, 1, "pv2", 0)),
    }
    found = tables(build(volumes).state)
    assert found["vg-m"] == ["0 2048 mirror disk 3 {vg-log} 1024 nosync 2 {vg-m0} 0 {vg-m1} 0 1 handle_errors"]
    volumes["m"] = lv(mirror(4, ["m0", "m1"]))
    assert tables(build(volumes).state)["vg-m"] == ["0 2048 mirror core 1 1024 2 {vg-m0} 0 {vg-m1} 0 1 handle_errors"]


def test_nothing_stored_and_volumes_on_volumes() -> None:
    nothing = 'start_extent = {}\nextent_count = 1\ntype = "{}"\n'
    volumes = {
        "x": lv(nothing.format(0, "error"), nothing.format(1, "zero"), linear(2, 2, "inner", 1)),
        "inner": hidden(2, linear(0, 3, "pv0", 0)),
    }
    assert tables(build(volumes).state) == {
        "vg-inner": ["0 1536 linear /dev/test0 2048"],
        "vg-x": ["0 512 error", "512 512 zero", "1024 1024 linear {vg-inner} 512"],
    }


def test_read_only() -> None:
    volumes = {"a": lv(linear(0, 1, "pv0", 0), status='"READ", "VISIBLE"')}
    assert [device.read_only for device in build(volumes).state.devices] == [True]
    volumes = {"a": lv(linear(0, 1, "pv0", 0))}
    assert [device.read_only for device in build(volumes).state.devices] == [False]
    assert [device.read_only for device in build(volumes, status='"READ"').state.devices] == [True]


SNAPSHOT = 'start_extent = 0\nextent_count = 2\ntype = "snapshot"\nchunk_size = 8\norigin = "a"\ncow_store = "cow"\n'
THIN = 'start_extent = 0\nextent_count = 9\ntype = "thin"\nthin_pool = "pool"\ndevice_id = 1\n'
POOL = 'start_extent = 0\nextent_count = 2\ntype = "thin-pool"\nmetadata = "pm"\npool = "pd"\ndiscards = "a"\n'


@pytest.mark.parametrize(
    ("volumes", "more", "left_out"),
    [
        (
            {"a": lv(linear(0, 2, "pv0", 0)), "cow": hidden(2, linear(0, 1, "pv0", 2)), "s": lv(SNAPSHOT, number=3)},
            {},
            {
                "a": "it belongs to s, of type snapshot",
                "s": "it is of type snapshot, with a, cow, which is not read",
            },
        ),
        (
            {
                "a": lv(linear(0, 1, "pv0", 0)),
                "pool": lv(POOL, number=2),
                "pm": hidden(3, linear(0, 1, "pv0", 1)),
                "pd": hidden(4, linear(0, 2, "pv0", 2)),
                "t": lv(THIN, number=5),
            },
            {},
            {
                "pool": "it is of type thin-pool, with pm, pd, which is not read",
                "t": "it is of type thin, with pool, which is not read",
            },
        ),
        (
            {"a": lv(linear(0, 1, "pd", 0)), "pd": hidden(2, POOL)},
            {},
            {"a": "pd: it is of type thin-pool, with pd, which is not read"},
        ),
        ({"a": lv(linear(0, 1, "pv1", 0))}, {"there": (0,)}, {"a": f"pv1 {device_uuid(1)} is missing"}),
        ({"a": lv(linear(0, 1, "pv1", 9))}, {"size": 3 << 20}, {"a": "it ends beyond the end of /dev/test1"}),
        ({"a": lv(linear(0, 1, "pv0", 0))}, {"status": '"READ", "EXPORTED"'}, {"a": "its group is exported"}),
        (
            {"a": lv(linear(0, 1, "pv0", 0))},
            {"more": 'lock_type = "sanlock"\n'},
            {"a": "its group is shared by hosts: another may be using it"},
        ),
        ({"a": lv()}, {}, {"a": "it has no extents"}),
        (
            {"a": lv(linear(0, 1, "move", 0)), "move": hidden(2, mirror(1, ["m", "n"])).replace('WRITE"', 'PVMOVE"')
             , "m": hidden(3, linear(0, 1, "pv0", 0)), "n": hidden(4, linear(0, 1, "pv1", 0))},
            {},
            {"a": "move: it is part of a move that is under way"},
        ),
        (
            {"a": lv(raid1(4, ["", "r_rimage_0", "", "r_rimage_1"]).replace('"", ', "").replace("= 1", "= 2"))
             , **images(b=lv(RAID, number=2))},
            {},
            {"a": "b stands on the same extents", "b": "a stands on the same extents"},
        ),
        (
            {"a": lv(raid1(4, ["r_rmeta_0", "r_rimage_0", "r_rmeta_1", "r_rimage_0"])), **images()},
            {},
            {"a": "it stands on some extents twice"},
        ),
        (
            {"a": lv(linear(0, 1, "b", 0)), "b": hidden(2, linear(0, 1, "a", 0))},
            {},
            {"a": "it stands on itself, or on more than 16 layers of volumes"},
        ),
        (
            {"a" * 100: lv(linear(0, 1, "pv0", 0))},
            {"name": "v" * 30},
            {"a" * 100: "its name with the group's is longer than device-mapper's 127 bytes"},
        ),
        (
            images(r=lv(RAID, linear(4, 1, "pv2", 0))),
            {},
            {"r": "raid1 and other segments in one volume are not read"},
        ),
        (
            images(r=lv(RAID, status=f'{HIDDEN}, "VISIBLE", "REBUILD"')),
            {},
            {"r": "one of its images is to be rebuilt"},
        ),
    ],
)  # fmt: skip
def test_what_is_left_out(volumes: dict[str, str], more: dict[str, Any], left_out: dict[str, str]) -> None:
    found = build(volumes, **more)
    assert found.left_out == left_out
    visible = {name for name, inner in volumes.items() if '"VISIBLE"' in inner}
    assert {f"vg-{name}" for name in visible - set(left_out)} <= {device.name for device in found.state.devices}
    for name in left_out:
        with pytest.raises(UnsupportedError, match="no table for"):
            build_tables(assembled(volumes, **more), [name])


def test_a_device_that_is_marked_as_missing_is_not_used() -> None:
    text = write_text({"a": lv(linear(0, 1, "pv1", 0))}, devices=3).replace(b"[]\ndev_size", b'["MISSING"]\ndev_size')
    (marked,) = assemble(survey([write_device(number, [text]) for number in range(3)]))
    assert build_tables(marked).left_out == {"a": f"pv1 {device_uuid(1)} is marked as missing"}


def test_only_what_was_named() -> None:
    volumes = {"a": lv(linear(0, 1, "pv0", 0)), "b": lv(linear(0, 1, "pv1", 0), number=2)}
    assert list(tables(build(volumes, "b").state)) == ["vg-b"]
    with pytest.raises(NotFoundError, match="no volume 'c' in group vg"):
        build(volumes, "c")


def test_a_pyramid_of_volumes_is_walked_once() -> None:
    volumes = {"v0": lv(linear(0, 1, "pv0", 0), linear(1, 1, "pv0", 1))}
    for level in range(1, 15):
        below = f"v{level - 1}"
        status = HIDDEN if level < 14 else f'{HIDDEN}, "VISIBLE"'
        volumes[f"v{level}"] = write_volume(level + 1, [linear(0, 1, below, 0), linear(1, 1, below, 1)], status=status)
    assert len(build(volumes).state.devices) == 15


def test_a_tower_of_volumes_has_a_highest_layer() -> None:
    volumes = {"v0": lv(linear(0, 1, "pv0", 0))}
    for level in range(1, 3000):
        volumes[f"v{level}"] = write_volume(level + 1, [linear(0, 1, f"v{level - 1}", 0)])
    assert len(build(volumes).state.devices) == 16
    assert len(build(dict(reversed(volumes.items()))).state.devices) == 16


def test_the_state_compiles() -> None:
    built = build(images(r=lv(RAID), a=lv(linear(0, 1, "pv2", 0), number=2)))
    numbered = State(
        tuple(
            Device(
                each.name,
                each.uuid,
                tuple(
                    Line(line.start, line.length, line.target, line.params.replace("/dev/test", "7:"))
                    for line in each.table
                ),
            )
            for each in built.state.devices
        )
    )
    assert not activate(State(), numbered).is_empty
    assert activate(numbered, numbered).is_empty


def test_reasons_of_all_volumes() -> None:
    found = reasons(assembled(images(r=lv(RAID)), there=(0, 2)))
    assert found["r"] == ""
    assert found["r_rimage_0"] == ""
    assert found["r_rimage_1"] == f"pv1 {device_uuid(1)} is missing"


def test_the_current_state_of_these_devices_and_no_others() -> None:
    desired = build({"a": lv(linear(0, 1, "pv0", 0))}).state
    dm = SimulatedDeviceMapper({DeviceNumber(7, 0): 1 << 16})
    for name, uuid in (("vg-a", desired.devices[0].uuid), ("vg-thin", "LVM-of-another")):
        dm.create(name, uuid)
        dm.load(name, [TableLine(0, 512, "linear", "7:0 2048")])
        dm.resume(name)
    both = with_current(desired, dm)
    assert [device.name for device in both["current"].devices] == ["vg-a"]
    assert both["desired"] == desired
    assert with_current(desired, dm, down=True) == {"current": both["current"], "desired": State()}
