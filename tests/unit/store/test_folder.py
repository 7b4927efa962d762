"""The folder store: conformance, one winner among processes, power cuts, and failing steps."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from drystone.base.errors import DamagedError, DrystoneError, ExhaustedError, KernelError, UnsupportedError, UsageError
from drystone.kernel.blockdev import aligned_buffer
from drystone.store import Store
from drystone.store.abc import Data
from drystone.store.folder import FolderStore, SystemSteps
from drystone.testing.stores import CONFORMANCE, MemoryStore, RecordedSteps, surely_there

CHECK_IDS = [check.__name__ for check in CONFORMANCE]


@pytest.mark.parametrize("check", CONFORMANCE, ids=CHECK_IDS)
def test_folder_store_conforms(check: Callable[[Store], None], tmp_path: Path) -> None:
    check(FolderStore(tmp_path / "deep" / "store"))


@pytest.mark.parametrize("check", CONFORMANCE, ids=CHECK_IDS)
def test_memory_store_conforms(check: Callable[[Store], None]) -> None:
    check(MemoryStore())


def passing_files(folder: Path) -> list[str]:
    return [name for _, _, names in os.walk(folder) for name in names if name.startswith(".")]


def test_nothing_is_made_before_the_first_put(tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "store")
    assert list(store.list("")) == []
    assert store.clean() == 0
    assert not (tmp_path / "store").exists()


def test_one_winner_among_processes(tmp_path: Path) -> None:
    program = (
        "import sys; from drystone.store.folder import FolderStore\n"
        "store = FolderStore(sys.argv[1]); print('ready', flush=True); sys.stdin.readline()\n"
        "print(sum(store.put_if_absent(f'race/{n}', sys.argv[2].encode() * 5000) for n in range(200)))"
    )
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(tmp_path), str(number)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        for number in range(4)
    ]  # fmt: skip
    for racer in racers:
        assert racer.stdout is not None
        assert racer.stdout.readline() == "ready\n"
    wins = []
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("\n")
        racer.stdin.flush()
    for racer in racers:
        wins.append(int(racer.communicate()[0]))
        assert racer.returncode == 0
    assert sum(wins) == 200
    store = FolderStore(tmp_path)
    for number in range(200):
        data = store.get(f"race/{number}")
        assert len(data) == 5000
        assert len(set(data)) == 1
    assert passing_files(tmp_path) == []


def put_some(steps: RecordedSteps, root: Path) -> list[tuple[int, str]]:
    """Put into two stores at one root, as two processes would; (steps done when it was acknowledged, key)."""
    acknowledged = []
    first, second = FolderStore(root, steps), FolderStore(root, steps)
    for store, key in (
        (first, "a/b/1"), (second, "a/b/2"), (first, "a/c/d/3"), (second, "a/b/1"), (second, "e"), (first, "a/b/4"),
    ):  # fmt: skip
        store.put_if_absent(key, key.encode())
        acknowledged.append((len(steps.log), key))
    return acknowledged


def lost_at_power_cuts(steps: RecordedSteps, root: Path, acknowledged: list[tuple[int, str]]) -> list[tuple[int, str]]:
    """Cuts (after so many steps) that lose an acknowledged object."""
    before = {root.parent, *root.parent.parents}
    return [
        (cut, key)
        for cut in range(len(steps.log) + 1)
        for at, key in acknowledged
        if at <= cut and root / key not in surely_there(steps.log[:cut], before)
    ]


def test_no_power_cut_loses_an_acknowledged_object(tmp_path: Path) -> None:
    steps = RecordedSteps()
    root = tmp_path / "new" / "store"
    acknowledged = put_some(steps, root)
    assert lost_at_power_cuts(steps, root, acknowledged) == []


def put_in_parts(store: FolderStore, key: str, *parts: Data) -> bool:
    put = store.begin(key)
    try:
        for each in parts:
            put.write(each)
        return put.finish()
    finally:
        put.abandon()


def test_no_power_cut_loses_an_acknowledged_object_of_parts(tmp_path: Path) -> None:
    steps = RecordedSteps()
    root = tmp_path / "new" / "store"
    store = FolderStore(root, steps)
    acknowledged = []
    for key in ("packs/3f/1", "packs/3f/2", "packs/40/1"):
        assert put_in_parts(store, key, b"some", b"bytes")
        acknowledged.append((len(steps.log), key))
    assert lost_at_power_cuts(steps, root, acknowledged) == []


def test_parts_are_synced_before_they_have_a_name(tmp_path: Path) -> None:
    done: list[str] = []
    assert put_in_parts(FolderStore(tmp_path, RecordedSteps(lambda _at, step: done.append(step))), "a", b"1", b"2")
    assert [each for each in done if each not in {"make_folder", "sync_folder"}] == [
        "write", "append", "append", "sync", "link", "unlink",
    ]  # fmt: skip
    assert done[-2] == "sync_folder", "the name is durable before it is acknowledged"


def test_large_parts_go_round(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    buffer = aligned_buffer(4 << 20)
    buffer[:] = np.frombuffer(np.random.default_rng(2).bytes(len(buffer)), dtype=np.uint8)
    parts: list[Data] = [buffer.data, buffer[: 1 << 20].data, buffer[7:5000].data, buffer.data, b"end"]
    assert put_in_parts(store, "a/b", *parts)
    whole = b"".join(parts)
    assert store.get("a/b") == whole
    for offset, length in ((0, len(whole)), (1, len(whole) - 1), (5_000_001, 3_000_000), (4096, 2 << 20)):
        assert store.get_range("a/b", offset, length) == whole[offset : offset + length]
    with pytest.raises(DamagedError):
        store.get_range("a/b", 1, len(whole))


@pytest.mark.parametrize("number", range(10))
def test_a_failing_step_of_parts_leaves_no_object_or_a_whole_one(tmp_path: Path, number: int) -> None:
    failed = []

    def fail(at: int, step: str) -> None:
        if at == number:
            failed.append(step)
            raise OSError(errno.ENOSPC, "no space")

    store = FolderStore(tmp_path / "store", RecordedSteps(fail))
    try:
        put_in_parts(store, "a/b", b"da", b"ta")
    except ExhaustedError:
        assert failed
    objects = dict(FolderStore(tmp_path / "store").list(""))
    assert objects in ({}, {"a/b": 4})
    assert objects or failed
    if failed != ["unlink"]:
        assert passing_files(tmp_path) == []


def test_parts_whose_passing_file_was_cleaned_are_put_all_the_same(tmp_path: Path) -> None:
    class Cleaned(RecordedSteps):
        def link(self, path: Path, target: Path) -> None:
            if "link" not in (step for step, _ in self.log) and not lost:
                lost.append(path)
                path.unlink()
            super().link(path, target)

    lost: list[Path] = []
    store = FolderStore(tmp_path, Cleaned())
    assert put_in_parts(store, "a", b"da", b"ta")
    assert lost
    assert store.get("a") == b"data"
    assert passing_files(tmp_path) == []


def test_clean_spares_the_parts_that_this_process_writes(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    put = store.begin("a")
    assert FolderStore(tmp_path).clean() == 0
    put.write(b"data")
    assert put.finish()
    assert store.get("a") == b"data"


@pytest.mark.parametrize("forgotten", ["own folder", "parents"])
def test_the_power_cut_check_finds_a_forgotten_sync(tmp_path: Path, forgotten: str) -> None:
    class Forgetful(RecordedSteps):
        def sync_folder(self, path: Path) -> None:
            holds_objects = any(each.is_file() for each in path.iterdir())
            if holds_objects != (forgotten == "own folder"):
                super().sync_folder(path)

    steps = Forgetful()
    root = tmp_path / "new" / "store"
    acknowledged = put_some(steps, root)
    assert lost_at_power_cuts(steps, root, acknowledged)


def test_an_object_is_never_seen_in_part(tmp_path: Path) -> None:
    # The passing file gets its second name only after its bytes are synced.
    steps = RecordedSteps()
    put_some(steps, tmp_path)
    seen: set[str] = set()
    for step, path in steps.log:
        if step == "link":
            assert any(name.startswith(".passing.") for name in seen)
            assert not path.name.startswith(".")
        if step == "write":
            seen.add(path.name)


@pytest.mark.parametrize("number", range(8))
def test_a_failing_step_leaves_no_object_or_a_whole_one(tmp_path: Path, number: int) -> None:
    failed = []

    def fail(at: int, step: str) -> None:
        if at == number:
            failed.append(step)
            raise OSError(errno.ENOSPC, "no space")

    store = FolderStore(tmp_path / "store", RecordedSteps(fail))
    try:
        store.put_if_absent("a/b", b"data")
    except ExhaustedError:
        assert failed
    except KernelError as error:
        pytest.fail(str(error))
    again = FolderStore(tmp_path / "store")
    objects = dict(again.list(""))
    assert objects in ({}, {"a/b": 4})
    again.put_if_absent("a/b", b"data")
    assert again.get("a/b") == b"data"
    if failed != ["unlink"]:
        assert passing_files(tmp_path) == []


def test_clean_removes_what_a_killed_writer_left_and_no_living_one(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    store.put_if_absent("a/1", b"x")
    program = (
        "import os, sys; from pathlib import Path; from drystone.store.folder import SystemSteps\n"
        "SystemSteps().write(Path(sys.argv[1]) / f'.passing.{os.getpid()}.0', b'part')\n"
        "print('written', flush=True); sys.stdin.readline(); os._exit(9)"
    )
    writer = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path / "a")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert writer.stdout is not None
    assert writer.stdout.readline() == "written\n"
    assert store.clean() == 0
    assert len(passing_files(tmp_path)) == 1
    writer.communicate("\n")
    assert store.clean() == 1
    assert passing_files(tmp_path) == []
    assert dict(store.list("")) == {"a/1": 1}


def test_clean_removes_what_an_earlier_process_of_the_same_id_left(tmp_path: Path) -> None:
    (tmp_path / f".passing.{os.getpid()}.0").write_bytes(b"part")
    assert FolderStore(tmp_path).clean() == 1


def test_clean_spares_what_this_process_writes(tmp_path: Path) -> None:
    cleaned: list[int] = []

    class Cleaning(RecordedSteps):
        def link(self, path: Path, target: Path) -> None:
            cleaned.append(FolderStore(tmp_path).clean())
            super().link(path, target)

    steps = Cleaning()
    assert FolderStore(tmp_path, steps).put_if_absent("a", b"data")
    assert cleaned == [0]
    assert [step for step, _ in steps.log].count("write") == 1


def test_a_writer_whose_passing_file_was_cleaned_starts_over(tmp_path: Path) -> None:
    class Cleaned(RecordedSteps):
        def link(self, path: Path, target: Path) -> None:
            if len(self.log) < 6:
                path.unlink()
            super().link(path, target)

    steps = Cleaned()
    store = FolderStore(tmp_path, steps)
    assert store.put_if_absent("a", b"data")
    assert [step for step, _ in steps.log].count("write") > 1
    assert store.get("a") == b"data"


def test_a_writer_that_never_gets_through_says_so(tmp_path: Path) -> None:
    class Cleaned(RecordedSteps):
        def link(self, path: Path, target: Path) -> None:
            path.unlink()
            super().link(path, target)

    with pytest.raises(DrystoneError, match="vanished"):
        FolderStore(tmp_path, Cleaned()).put_if_absent("a", b"data")


def test_a_file_where_a_folder_should_be_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for root in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(UsageError, match=f"{tmp_path}/file is a file"):
            FolderStore(root).put_if_absent("a", b"")


def test_a_link_that_leads_nowhere_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("nowhere")
    for root in (tmp_path / "link", tmp_path / "link" / "below"):
        with pytest.raises(UsageError, match=f"{tmp_path}/link is a link that leads nowhere"):
            FolderStore(root).put_if_absent("a", b"")
    (tmp_path / "there").mkdir()
    (tmp_path / "good").symlink_to("there")
    assert FolderStore(tmp_path / "good").put_if_absent("a", b"")


def test_clean_passes_over_the_files_of_other_users() -> None:
    # Of a folder that everybody can reach, for root becomes nobody: nothing is denied to root.
    with tempfile.TemporaryDirectory(dir="/tmp") as path:
        store = FolderStore(path)
        assert store.put_if_absent("a", b"x")
        (store.root / ".passing.theirs").touch(mode=0o000)
        store.root.chmod(0o777)
        before = os.geteuid()
        if before == 0:
            os.seteuid(65534)
        try:
            assert store.clean() == 0
        finally:
            os.seteuid(before)
        assert passing_files(store.root) == [".passing.theirs"]


def test_a_file_system_without_hard_links_is_told(tmp_path: Path) -> None:
    class NoLinks(SystemSteps):
        def link(self, path: Path, target: Path) -> None:
            raise PermissionError(errno.EPERM, "Operation not permitted")

    with pytest.raises(UnsupportedError, match="hard links"):
        FolderStore(tmp_path, NoLinks()).put_if_absent("a", b"")
    assert list(tmp_path.iterdir()) == []


def open_files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def test_nothing_stays_open(tmp_path: Path) -> None:
    def fail(_at: int, step: str) -> None:
        if step == failing:
            raise OSError(errno.EIO, "broken")

    failing = ""
    before = open_files()
    store = FolderStore(tmp_path, RecordedSteps(fail))
    assert store.put_if_absent("a", b"data")
    assert not store.put_if_absent("a", b"data")
    put = store.begin("b")
    put.write(b"data")
    assert put.finish()
    store.begin("c").abandon()
    for failing in ("link", "sync_folder", "unlink"):
        with pytest.raises(KernelError):
            store.put_if_absent(f"d/{failing}", b"data")
    with pytest.raises(TypeError):
        SystemSteps().write(tmp_path / "e", "no bytes")  # type: ignore[arg-type]  # wrong on purpose
    assert not (tmp_path / "e").exists()
    assert open_files() == before


def test_an_object_of_somebody_else_is_durable_when_it_is_told(tmp_path: Path) -> None:
    """Its writer may have been killed between giving it its name and making that durable."""
    steps = RecordedSteps()
    FolderStore(tmp_path).put_if_absent("a/1", b"theirs")
    store = FolderStore(tmp_path, steps)
    store.put_if_absent("a/2", b"")
    begun = len(steps.log)
    assert not store.put_if_absent("a/1", b"ours")
    assert steps.log[begun:] == [("sync_folder", tmp_path / "a")]
    assert store.get("a/1") == b"theirs"


@pytest.mark.parametrize(
    ("number", "kind", "hint"),
    [
        (errno.EIO, KernelError, ""),
        (errno.EROFS, KernelError, "mount it for writing"),
        (errno.EACCES, KernelError, "no right"),
        (errno.ENOSPC, ExhaustedError, "make room"),
        (errno.EDQUOT, ExhaustedError, "make room"),
    ],
)
def test_what_the_file_system_refuses_is_told(
    tmp_path: Path, number: int, kind: type[DrystoneError], hint: str
) -> None:
    def fail(_at: int, step: str) -> None:
        if step in refused:
            raise OSError(number, os.strerror(number))

    store = FolderStore(tmp_path / "store", RecordedSteps(fail))
    for refused in (["write"], ["link"], ["make_folder"], ["sync_folder"]):
        with pytest.raises(DrystoneError) as caught:
            store.put_if_absent(f"{refused[0]}/a", b"")
        assert type(caught.value) is kind
        assert hint in caught.value.hint
    refused = []
    assert store.put_if_absent("a", b"")
    refused = ["unlink"]
    with pytest.raises(kind):
        store.delete("a")
    refused = ["sync_folder"]
    with pytest.raises(kind):
        store.delete("a")


def test_only_a_folder_that_we_did_not_change_need_not_be_synced(tmp_path: Path) -> None:
    """That above a root that was there: others' users' folders often cannot be opened for reading."""

    class Closed(SystemSteps):
        def __init__(self, closed: Path) -> None:
            self.closed = closed

        def sync_folder(self, path: Path) -> None:
            if path == self.closed:
                raise PermissionError(errno.EACCES, "Permission denied", str(path))
            super().sync_folder(path)

    root = tmp_path / "store"
    with pytest.raises(KernelError):
        FolderStore(root, Closed(tmp_path)).put_if_absent("a/b", b"")
    assert FolderStore(root, Closed(tmp_path)).put_if_absent("a/b", b"")
    for closed in (root, root / "a"):
        with pytest.raises(KernelError):
            FolderStore(root, Closed(closed)).put_if_absent("a/c", b"")


def test_a_deletion_is_durable_whoever_was_first(tmp_path: Path) -> None:
    steps = RecordedSteps()
    store = FolderStore(tmp_path, steps)
    store.put_if_absent("a/1", b"")
    (tmp_path / "a" / "1").unlink()  # and killed before the folder was synced
    begun = len(steps.log)
    store.delete("a/1")
    assert steps.log[begun:] == [("sync_folder", tmp_path / "a")]
    store.delete("no/folder")


def test_folders_removed_by_others_are_made_again(tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "store")
    store.put_if_absent("a/1", b"")
    store.delete("a/1")
    (tmp_path / "store" / "a").rmdir()
    assert store.put_if_absent("a/2", b"")
    assert dict(store.list("a")) == {"a/2": 0}
