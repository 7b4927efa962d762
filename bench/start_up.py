"""Start-up: how long commands take that do next to nothing, against an interpreter that does nothing.

The tools of `dvm` work on a group of one plain file without volumes. In the last row the command server does one of
them; the peer runs while it makes the next worker ready.

    python bench/start_up.py [RUNS]

Whole processes, ours and the peer in turn. Prints a JSON list as bench/run.py describes it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from command_server import serving
from drystone.testing.thin_metadata import write_thin_metadata
from pairs import compile_all, measure

BIN = Path(sys.executable).parent
PEER = [sys.executable, "-c", "pass"]


def list_dvm(folder: Path) -> dict[str, list[str]]:
    """Name -> words, of each tool of `dvm`; their group is made in `folder`."""
    dvm = str(BIN / "dvm")
    disk, devices, group, program, regions, state = (
        str(folder / name) for name in ("disk", "devices", "group", "program", "regions", "state")
    )
    named = ["--devices", devices]

    def keep(file: str, *words: str) -> None:
        Path(file).write_bytes(subprocess.run([dvm, *words], check=True, stdout=subprocess.PIPE).stdout)

    with Path(disk).open("wb") as stream:
        stream.truncate(16 << 20)
    keep(devices, "discover", "add", "group", "--file", disk, disk)
    keep(group, "metadata", "init", *named)
    keep(state, "transact", "expand", "group", *named, "--metadata", group)
    keep(state, "volactivate", "--group", group)
    keep(program, "dmactivate", state, state)
    Path(regions).write_text(json.dumps([{"path": disk, "begin": 1, "end": 257}]))
    return {
        "dvm discover find": [dvm, "discover", "find", "group", "--file", disk],
        "dvm transact read": [dvm, "transact", "read", "group", *named],
        "dvm show": [dvm, "show", "group", *named],
        "dvm metadata create": [dvm, "metadata", "create", "volume", "--size", "4m", "--group", group],
        "dvm report": [dvm, "report", "--group", group],
        "dvm volactivate": [dvm, "volactivate", "--group", group],
        "dvm dmactivate": [dvm, "dmactivate", state, state],
        "dvm dmexec --check": [dvm, "dmexec", "--check", program],
        "dvm replicate status": [dvm, "replicate", "status", regions],
    }


def list_commands(image: Path) -> dict[str, list[str]]:
    """Name -> words of what is measured."""
    drystone, tools = str(BIN / "drystone"), str(BIN / "convoy-pdata_tools")
    size = ["thin_metadata_size", "-b", "2m", "-s", "100G", "-m", "100000", "-u", "M"]
    return {
        "drystone --help": [drystone, "--help"],
        "drystone thin --help": [drystone, "thin", "--help"],
        "drystone thin info IMAGE": [drystone, "thin", "info", str(image)],
        "convoy-pdata_tools thin_metadata_size": [tools, *size],
        "convoy-pdata_tools thin_ls IMAGE": [tools, "thin_ls", str(image)],
    }


def make_run(words: list[str], environment: dict[str, str] | None = None) -> Callable[[], object]:
    """A call that runs one whole process."""
    return lambda: subprocess.run(words, check=True, stdout=subprocess.DEVNULL, env=environment)


def main() -> None:
    """Measure and print."""
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 15
    compile_all()
    with tempfile.TemporaryDirectory() as folder:
        image = Path(folder) / "metadata.img"
        image.write_bytes(write_thin_metadata({1: {0: 0}}))
        peer = make_run(PEER)
        rows = [
            measure(name, make_run(words), "python -c pass", peer, runs=runs)
            for name, words in {**list_commands(image), **list_dvm(Path(folder))}.items()
        ]
        with serving(Path(folder)) as server:
            words = [str(BIN / "dvm"), "show", "group", "--devices", str(Path(folder) / "devices")]
            served = make_run(words, {**os.environ, "DRYSTONE_DVM_SOCKET": server.socket})

            rows.append(measure("dvm show by the command server", served, "python -c pass", peer, runs=runs))
    print(json.dumps(rows, indent=2))


if __name__ == "__main__":
    main()
