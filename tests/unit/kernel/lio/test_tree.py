"""The tree of configfs, as far as an ordinary folder can stand for it; places that lead elsewhere."""

from __future__ import annotations

import errno
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from drystone.base.errors import BusyError, KernelError, TimedOutError
from drystone.kernel.lio.simulated import SimulatedTree
from drystone.kernel.lio.tree import FolderTree, Place, Tree, check_place, check_still, leaving_in


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "target" / "core").mkdir(parents=True)
    return tmp_path / "target"


@pytest.fixture
def tree(root: Path) -> FolderTree:
    return FolderTree(str(root.parent))


@pytest.mark.parametrize("part", ["", ".", "..", "a/b", "/etc", "a\0b"])
def test_places_that_lead_elsewhere(part: str) -> None:
    with pytest.raises(ValueError, match="is no name"):
        check_place(("core", part))


CALLS: dict[str, Callable[[Tree, Place], object]] = {
    "exists": lambda tree, place: tree.exists(place),
    "folders": lambda tree, place: tree.folders(place),
    "links": lambda tree, place: tree.links(place),
    "read": lambda tree, place: tree.read(place),
    "write": lambda tree, place: tree.write(place, "1"),
    "make": lambda tree, place: tree.make(place),
    "remove": lambda tree, place: tree.remove(place),
    "remove_within": lambda tree, place: tree.remove_within(place, "lun_", 20),
    "link": lambda tree, place: tree.link(place, ("core",)),
    "link to": lambda tree, place: tree.link(("core", "x"), place),
    "unlink": lambda tree, place: tree.unlink(place),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
@pytest.mark.parametrize("kind", ["folder", "simulated"])
def test_every_call_checks_its_place(kind: str, call: Callable[[Tree, Place], object], tree: FolderTree) -> None:
    checked: Tree = tree if kind == "folder" else SimulatedTree({})
    with pytest.raises(ValueError, match="is no name"):
        call(checked, ("core", "..", "escaped"))


def test_folders_and_files(tree: FolderTree, root: Path) -> None:
    assert tree.make(("core", "b"))
    assert tree.make(("core", "a"))
    assert not tree.make(("core", "a"))
    (root / "core" / "a" / "enable").write_text("0\n")
    assert tree.folders(("core",)) == ["a", "b"]
    assert tree.folders(("core", "a")) == []
    assert tree.exists(("core", "a", "enable"))
    assert tree.read(("core", "a", "enable")) == "0"
    tree.write(("core", "a", "enable"), "1")
    assert (root / "core" / "a" / "enable").read_text() == "1\n"  # a setting is written over, not cut
    assert tree.remove(("core", "b"))
    assert not tree.remove(("core", "b"))
    assert not tree.exists(("core", "b"))


def test_what_is_not_there_is_empty(tree: FolderTree) -> None:
    nowhere = ("iscsi", "nowhere")
    assert (tree.read(nowhere), tree.folders(nowhere), tree.links(nowhere)) == ("", [], {})
    tree.unlink(nowhere)
    assert not tree.remove(nowhere)
    assert not tree.remove_within(nowhere, "lun_", 20)
    for name in ("make", "write", "link"):
        with pytest.raises(KernelError) as caught:
            CALLS[name](tree, nowhere)
        assert (caught.value.errno, caught.value.device) == (errno.ENOENT, "iscsi/nowhere")


def test_links(tree: FolderTree, root: Path) -> None:
    tree.make(("core", "a"))
    tree.make(("core", "b"))
    tree.link(("core", "b", "ours"), ("core", "a"))
    (root / "core" / "b" / "relative").symlink_to("../a")
    (root / "core" / "b" / "elsewhere").symlink_to("/etc")
    assert tree.links(("core", "b")) == {"ours": ("core", "a"), "relative": ("core", "a")}
    assert tree.folders(("core", "b")) == []
    tree.unlink(("core", "b", "ours"))
    tree.unlink(("core", "b", "ours"))
    assert tree.links(("core", "b")) == {"relative": ("core", "a")}


def test_a_removal_that_is_refused(tree: FolderTree) -> None:
    tree.make(("core", "a"))
    tree.make(("core", "a", "b"))
    for name in ("remove", "remove_within"):
        with pytest.raises(KernelError) as caught:
            CALLS[name](tree, ("core", "a"))
        assert caught.value.errno == errno.ENOTEMPTY
    assert tree.folders(("core", "a")) == ["b"]


@pytest.mark.parametrize("kind", ["folder", "simulated"])
def test_a_removal_with_what_is_inside(kind: str, tree: FolderTree) -> None:
    acl: Place = ("iscsi", "iqn.x", "tpgt_1", "acls", "iqn.y")
    lun = ("iscsi", "iqn.x", "tpgt_1", "lun", "lun_0")
    checked: Tree = tree if kind == "folder" else SimulatedTree({})
    for depth in range(1, 4):
        checked.make(acl[:depth])
    if kind == "folder":  # what the kernel makes by itself
        for name in ("acls", "lun"):
            checked.make((*acl[:3], name))
    for place in (lun, acl, (*acl, "lun_0"), (*acl, "lun_1")):
        checked.make(place)
    checked.link((*acl, "lun_0", "x"), lun)
    assert checked.remove_within(acl, "lun_", 20)
    assert not checked.remove_within(acl, "lun_", 20)
    assert checked.folders(acl[:-1]) == []
    assert checked.folders(lun[:-1]) == ["lun_0"]


def test_something_inside_that_is_gone_is_not_the_place_that_is_gone(tree: FolderTree, root: Path) -> None:
    tree.make(("core", "a"))
    (root / "core" / "a" / "lun_0").symlink_to("nowhere")  # whoever opens it finds nothing
    with pytest.raises(KernelError) as caught:
        tree.remove_within(("core", "a"), "lun_", 20)
    assert caught.value.errno == errno.ENOTEMPTY
    assert tree.exists(("core", "a"))


def test_a_removal_that_takes_too_long_goes_on(tree: FolderTree) -> None:
    tree.make(("core", "a"))
    with pytest.raises(TimedOutError, match="core/a within 0 s"):
        tree.remove_within(("core", "a"), "lun_", 0)
    tree.remove_within(("core", "a"), "lun_", 20)
    assert not tree.exists(("core", "a"))


def test_a_removal_that_has_ended_is_not_taken_for_the_next(tree: FolderTree, root: Path) -> None:
    tree.make(("core", "a"))
    with pytest.raises(TimedOutError):
        tree.remove_within(("core", "a"), "lun_", 0)
    for _ in range(2000):
        if not (root / "core" / "a").exists() and not tree.folders(("core",)):
            break
        time.sleep(0.01)
    assert tree.make(("core", "a"))
    assert tree.remove_within(("core", "a"), "lun_", 20)
    assert not tree.exists(("core", "a"))


@pytest.mark.parametrize("program", ["/bin/false", "/bin/true", "/bin/echo"])
def test_a_removal_whose_process_says_nothing_is_no_removal(
    tree: FolderTree, monkeypatch: pytest.MonkeyPatch, program: str
) -> None:
    monkeypatch.setattr(sys, "executable", program)
    with pytest.raises(KernelError):
        tree.remove_within(("core", "a"), "lun_", 20)


@pytest.mark.parametrize(
    ("place", "names"),
    [
        (("a", "acls"), ["x", "y"]),
        (("a", "acls", "x"), []),
        (("a", "acls", "x", "lun_0"), []),
        (("a", "acls", "other"), []),
        (("a",), None),
        (("a", "lun"), None),
        (("b", "acls"), None),
    ],
)
def test_what_is_told_of_a_folder_that_something_leaves(place: Place, names: list[str] | None) -> None:
    leaving = [("a", "acls", "y"), ("a", "acls", "x")]
    assert leaving_in(place, leaving) == names
    if names is None:
        check_still(place, leaving)
    else:
        with pytest.raises(BusyError, match="is under way"):
            check_still(place, leaving)
