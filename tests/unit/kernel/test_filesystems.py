"""What the programs say, decoded."""

from __future__ import annotations

import pytest

from drystone.base.errors import RefusedError, UnsupportedError, UsageError
from drystone.kernel import filesystems
from drystone.kernel.filesystems import Signature, parse_blkid
from drystone.kernel.programs import Outcome, run_program


def test_a_file_system() -> None:
    text = "ID_FS_LABEL=a_label\nID_FS_LABEL_ENC=a\\x20label\nID_FS_UUID=1-2\nID_FS_TYPE=ext4\nID_FS_USAGE=filesystem\n"
    assert parse_blkid(text) == Signature("ext4", "a label", "1-2", "filesystem")


def test_a_partition_table() -> None:
    assert parse_blkid("ID_PART_TABLE_UUID=9\nID_PART_TABLE_TYPE=gpt\n") == Signature("gpt", "", "9", "partition-table")


@pytest.mark.parametrize("text", ["", "nonsense\n=\n"])
def test_nothing_known(text: str) -> None:
    assert parse_blkid(text) is None


def test_kinds() -> None:
    with pytest.raises(UsageError, match="ext4, xfs"):
        filesystems.grow("vfat", "/dev/null")


def test_what_cannot_be_made_smaller() -> None:
    with pytest.raises(RefusedError, match="xfs cannot be made smaller"):
        filesystems.shrink("xfs", "/dev/null", 1 << 30)
    with pytest.raises(UsageError, match="ext4, xfs"):
        filesystems.shrink("vfat", "/dev/null", 1 << 30)


@pytest.mark.parametrize(("kind", "text"), [("vfat", "vfat is on"), ("", "nothing that is known is on")])
def test_what_gets_no_new_uuid(kind: str, text: str) -> None:
    with pytest.raises(UnsupportedError, match=f"{text} /dev/null: only the UUIDs of ext4 and xfs"):
        filesystems.renew_uuid(kind, "/dev/null")


def test_a_missing_program_names_its_package() -> None:
    with pytest.raises(UnsupportedError, match="no-such-program is not installed") as caught:
        run_program("no-such-program", [], package="some-package")
    assert caught.value.hint == "apt-get install some-package"


def test_the_last_line_of_errors_comes_first() -> None:
    assert Outcome("p", 1, "out\n", "one\ntwo\n\n").last_line() == "two"
    assert Outcome("p", 1, "out\n", "").last_line() == "out"
    assert Outcome("p", 1, "", "").last_line() == "p ended with 1"
