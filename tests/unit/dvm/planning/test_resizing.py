from __future__ import annotations

import pytest

from drystone.base.errors import BusyError, DrystoneError, RefusedError, UnsupportedError, UsageError
from drystone.dvm.planning.resizing import Content, plan_resize

GIB = 1 << 30
BARE = Content()
EXT4 = Content("ext4")
MOUNTED = Content("ext4", "/srv", in_use=True)
XFS = Content("xfs", "/srv", in_use=True)


def acts(old: int, new: int, content: Content) -> list[str]:
    return [step.act for step in plan_resize("db", old, new, content)]


@pytest.mark.parametrize(
    ("old", "new", "content", "expected"),
    [
        (1, 2, BARE, ["extend-volume"]),
        (1, 2, Content(in_use=True), ["extend-volume"]),
        (1, 2, EXT4, ["extend-volume", "check-file-system", "grow-file-system"]),
        (1, 2, MOUNTED, ["extend-volume", "grow-file-system"]),
        (1, 2, XFS, ["extend-volume", "grow-file-system"]),
        (2, 1, EXT4, ["check-file-system", "shrink-file-system", "reduce-volume"]),
        (2, 2, EXT4, ["check-file-system", "grow-file-system"]),
        (2, 2, XFS, ["grow-file-system"]),
    ],
)
def test_the_file_system_never_reaches_beyond_its_volume(
    old: int, new: int, content: Content, expected: list[str]
) -> None:
    assert acts(old * GIB, new * GIB, content) == expected


@pytest.mark.parametrize(
    ("old", "new", "content", "error", "text"),
    [
        (2, 1, BARE, RefusedError, "would be lost"),
        (2, 1, MOUNTED, RefusedError, "not made smaller while it is mounted, as db is at /srv"),
        (2, 1, XFS, RefusedError, "xfs cannot be made smaller"),
        (1, 2, Content("xfs"), RefusedError, "grows only while it is mounted"),
        (1, 2, Content("btrfs"), UnsupportedError, "there is btrfs on db"),
        (2, 1, Content("LVM2_member"), UnsupportedError, "LVM2_member"),
        (1, 2, Content("ext4", in_use=True), BusyError, "not mounted here"),
        (2, 1, Content("ext4", in_use=True), BusyError, "not mounted here"),
        (1, 1, BARE, UsageError, "already"),
    ],
)
def test_what_is_refused(old: int, new: int, content: Content, error: type[DrystoneError], text: str) -> None:
    with pytest.raises(error, match=text):
        plan_resize("db", old * GIB, new * GIB, content)


def test_steps_say_sizes() -> None:
    steps = plan_resize("db", 2 * GIB, GIB, EXT4)
    assert [(step.act, step.size) for step in steps[1:]] == [("shrink-file-system", GIB), ("reduce-volume", GIB)]
    assert steps[1].what == "the ext4 on db shrinks to 1.0 GiB"
