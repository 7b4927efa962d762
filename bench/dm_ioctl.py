"""One device-mapper operation through our ioctl layer, against running `dmsetup` for it.

    drystone lab run -- .venv/bin/python bench/dm_ioctl.py [RUNS]

Both in the same guest, in turn, on the same device; dmsetup with DM_DISABLE_UDEV=1, as nothing but us makes nodes
there. Ours runs in an interpreter that is up, as in the daemon and the executor; what is measured is what each
operation costs them. Figures are seconds an operation, means over a batch. Prints a JSON list as bench/run.py
describes it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable

from drystone.kernel import loop
from drystone.kernel.dm.abc import TableLine
from drystone.kernel.dm.activation import create_active, remove_with_node
from drystone.kernel.dm.device_mapper import KernelDeviceMapper
from pairs import summarise, timed

BATCH = 5
"""Operations in a row of each side: one alone is near the clock's resolution in a guest."""
TABLE = "0 2048 linear {disk} 0"


def dmsetup(*words: str) -> Callable[[], object]:
    """A call that runs dmsetup to its end."""
    environment = {**os.environ, "DM_DISABLE_UDEV": "1"}
    return lambda: subprocess.run(["dmsetup", *words], check=True, stdout=subprocess.DEVNULL, env=environment)


def compare(name: str, ours: Callable[[], object], peer: Callable[[], object], runs: int) -> dict[str, object]:
    """One row: `runs` pairs of batches after one that is not counted; seconds an operation."""

    def batch(action: Callable[[], object]) -> float:
        return timed(lambda: [action() for _ in range(BATCH)]) / BATCH

    pairs = [(batch(ours), batch(peer)) for _ in range(runs + 1)]
    return summarise(name, "dmsetup", pairs[1:])


def make_rows(dm: KernelDeviceMapper, disk: str, runs: int) -> list[dict[str, object]]:
    """All rows, on a device `bench` over `disk` that is removed in the end."""
    table = [TableLine(0, 2048, "linear", f"{disk} 0")]

    def ours_whole() -> None:
        create_active(dm, "ours", table)
        remove_with_node(dm, "ours")

    create, remove = dmsetup("create", "peer", "--table", TABLE.format(disk=disk)), dmsetup("remove", "peer")

    def peer_whole() -> None:
        create()
        remove()

    create_active(dm, "bench", table)
    try:
        return [
            compare("dm info", lambda: dm.info("bench"), dmsetup("info", "bench"), runs),
            compare("dm status", lambda: dm.status("bench"), dmsetup("status", "bench"), runs),
            compare("dm table", lambda: dm.table("bench"), dmsetup("table", "bench"), runs),
            compare("dm create, load, resume, node, remove", ours_whole, peer_whole, runs),
        ]
    finally:
        remove_with_node(dm, "bench")


def main(words: list[str]) -> None:
    """Print the rows; `words` may hold the number of pairs."""
    runs = int(words[0]) if words else 9
    with tempfile.NamedTemporaryFile() as file, KernelDeviceMapper() as dm:
        file.truncate(16 << 20)
        with loop.hold(file.name) as disk:
            print(json.dumps(make_rows(dm, str(disk.number), runs), indent=2))


if __name__ == "__main__":
    main(sys.argv[1:])
