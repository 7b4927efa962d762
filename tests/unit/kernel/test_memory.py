from __future__ import annotations

import contextlib
import errno
import mmap
import subprocess
import sys
from pathlib import Path

import pytest

from drystone.base.errors import KernelError
from drystone.kernel.memory import list_runs, locked_memory


def locked_kib() -> int:
    """KiB of this process that are locked."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmLck"))
    return int(line.split()[1])


def resident(text: str) -> int:
    """KiB in RAM, of a smaps_rollup or the like."""
    return int(next(line for line in text.splitlines() if line.startswith("Rss:")).split()[1])


_THREADS = """
import sys, threading
from pathlib import Path
from drystone.base.errors import KernelError
from drystone.kernel.memory import locked_memory
over = threading.Event()
for _ in range(32):
    threading.Thread(target=over.wait, daemon=True).start()
rollup = Path("/proc/self/smaps_rollup")
before = rollup.read_text()
try:
    with locked_memory():
        during = rollup.read_text()
except KernelError as error:
    sys.exit(error.message)
rss = lambda text: int(next(line for line in text.splitlines() if line.startswith("Rss:")).split()[1])
print(rss(before), rss(during))
"""


def test_idle_threads_cost_next_to_nothing() -> None:
    """Locked whole, 32 stacks of 8 MiB were 256 MiB."""
    run = subprocess.run([sys.executable, "-c", _THREADS], capture_output=True, text=True, check=False)
    if run.returncode != 0:
        assert "mlockall" in run.stderr, run.stderr  # no rights, as above
        return
    before, during = map(int, run.stdout.split())
    assert during - before < 64 << 10


def test_what_a_file_holds_is_read_in(tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_bytes(bytes(64 << 12))
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ):

        def pages() -> int:
            smaps = Path("/proc/self/smaps").read_text()
            return resident(smaps[smaps.index(str(path)) :])

        assert pages() == 0
        # Refused without rights, as above.
        with contextlib.suppress(KernelError), locked_memory():
            assert pages() == 64 << 2


MAPS = """\
1000-3000 r--p 00000000 08:01 12 /a
3000-4000 r-xp 00002000 08:01 12 /a
4000-5000 ---p 00003000 08:01 12 /a
5000-6000 r--p 00003000 08:01 12 /a b
6000-8000 rw-p 00000000 00:00 0 [heap]
8000-9000 r--p 00000000 08:01 13 /c
9000-a000 --xp 00000000 00:00 0 [vsyscall]
"""


@pytest.mark.parametrize(
    ("with_all", "runs"),
    [
        (False, [[(0x1000, 0x3000), (0x3000, 0x4000)], [(0x5000, 0x6000)], [(0x8000, 0x9000)]]),
        (True, [[(0x1000, 0x3000), (0x3000, 0x4000)], [(0x5000, 0x6000), (0x6000, 0x8000), (0x8000, 0x9000)]]),
    ],
)
def test_mappings_that_touch_are_read_in_by_one_call(with_all: bool, runs: list[list[tuple[int, int]]]) -> None:
    assert list_runs(MAPS, with_all=with_all) == runs


def test_what_stands_beside_the_end_of_a_file_is_read_in(tmp_path: Path) -> None:
    """One mapping of a run that is refused, as what is past the end of its file, does not keep the others out."""
    path = tmp_path / "text"
    path.write_bytes(bytes(2 << 12))
    with (
        path.open("r+b") as file,
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ),
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ),
        contextlib.suppress(KernelError),
    ):
        file.truncate(1 << 12)
        with locked_memory():
            smaps = Path("/proc/self/smaps").read_text()
            assert resident(smaps[smaps.index(str(path)) :]) == 1 << 2


def test_memory_is_locked_until_the_last_block_ends() -> None:
    before = locked_kib()
    refused: KernelError | None = None
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(locked_memory())
        except KernelError as error:
            # Without rights and with a small limit the kernel refuses.
            refused = error
        else:
            with locked_memory():
                pass
            assert locked_kib() > before + 1024
    if refused is not None:
        assert refused.errno in (errno.ENOMEM, errno.EPERM)
        assert "ulimit" in refused.hint
    assert locked_kib() == before


_BUFFERS = """
import resource, sys
from drystone.kernel.memory import keep_freed_memory
if {keeps}:
    keep_freed_memory(64 << 20)
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(3):
    [b"x" * (256 << 10) for _ in range(8)]
before = faults()
for _ in range(50):
    [b"x" * (256 << 10) for _ in range(8)]
print(faults() - before)
"""


def test_memory_that_was_freed_comes_without_page_faults() -> None:
    counts = [
        int(
            subprocess.run([sys.executable, "-c", _BUFFERS.format(keeps=keeps)], check=True, capture_output=True).stdout
        )
        for keeps in (False, True)
    ]
    assert counts[1] < 1000 < counts[0], "50 times 2 MiB are 25,600 pages"
