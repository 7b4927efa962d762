"""Every wrong option has an error of its own, and none drops the others."""

from __future__ import annotations

import pytest

from drystone.base.errors import UsageError
from drystone.volumes.drivers.pool_options import PoolOptions, read_options
from drystone.volumes.options import check_known, parse_options, split_options
from drystone.volumes.registry import find_factories, known_drivers

DEVICES = {"dm.datadev": "/dev/a", "dm.metadatadev": "/dev/b"}


def test_a_value_may_hold_equals_signs() -> None:
    assert parse_options(["vfs.path=/a=b"]) == {"vfs.path": "/a=b"}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["dm.datadev"], "has no '='"),
        (["=x"], "no proper key"),
        ([" dm.fs=ext4"], "no proper key"),
        (["dm.fs="], "has no value"),
        (["dm.fs=xfs", "dm.fs=ext4"], "given twice"),
    ],
)
def test_malformed_words(words: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse_options(words)


def test_options_of_a_driver_that_does_not_run() -> None:
    with pytest.raises(UsageError, match="belongs to no driver"):
        split_options({"dm.fs": "xfs"}, {"vfs": "vfs"})
    with pytest.raises(UsageError, match="belongs to no driver"):
        split_options({"vfs": "x"}, {"vfs": "vfs"})


def test_an_option_that_a_driver_does_not_have() -> None:
    with pytest.raises(UsageError, match=r"no option 'dm\.datadeb'"):
        check_known({"dm.datadeb": "x"}, ["dm.datadev"], "devicemapper")


def test_drivers_by_name() -> None:
    assert {"devicemapper", "vfs"} <= set(known_drivers())
    found = find_factories(["vfs"], {"vfs.path": "/x"})
    assert found["vfs"][1] == {"vfs.path": "/x"}
    for names, message in (([], "no driver was named"), (["vfs", "vfs"], "twice"), (["zfs"], "no driver 'zfs'")):
        with pytest.raises(UsageError, match=message):
            find_factories(names, {})


def test_defaults_of_the_seed() -> None:
    expected = PoolOptions("/dev/a", "/dev/b", "convoy-pool", 4096, 100 << 30, "ext4")
    assert read_options(DEVICES) == expected


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"dm.datadev": ""}, "no absolute path"),
        ({"dm.datadev": "sdb"}, "no absolute path"),
        ({"dm.thinpoolname": "a b"}, "not valid"),
        ({"dm.thinpoolname": "x" * 90}, "more than 80"),
        ({"dm.thinpoolblocksize": "two"}, "no whole number"),
        ({"dm.thinpoolblocksize": "127"}, "not between 128 and 2097152"),
        ({"dm.thinpoolblocksize": "2097153"}, "not between 128 and 2097152"),
        ({"dm.thinpoolblocksize": "200"}, "no multiple of 128"),
        ({"dm.defaultvolumesize": "10X"}, "not a whole number"),
        ({"dm.defaultvolumesize": "3m"}, "no multiple of the pool's block size"),
        ({"dm.defaultvolumesize": "0"}, "no size of a volume"),
        ({"dm.fs": "ntfs"}, "not known"),
        ({"dm.typo": "1"}, "no option 'dm.typo'"),
    ],
)
def test_wrong_values(given: dict[str, str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        read_options({**DEVICES, **given})


@pytest.mark.parametrize("key", ["dm.datadev", "dm.metadatadev"])
def test_a_missing_device(key: str) -> None:
    with pytest.raises(UsageError, match=f"needs the option {key}"):
        read_options({name: value for name, value in DEVICES.items() if name != key})
