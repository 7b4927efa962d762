"""`make bench`: every benchmark, as one table of ratios against a peer measured in the same run.

Each benchmark is a program that prints a JSON list of measurements
{"name", "ours_s", "peer", "peer_s", "ratio", "spread": [least, most]}: medians in seconds, ratio = ours / peer pair by
pair (below 1: we are faster, or need less), spread = least and most ratio of the pairs. Where there is a "unit" the
figures are in that, not in seconds. Figures are printed, never judged.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parent.parent
PYTHON = str(ROOT / ".venv" / "bin" / "python")
DRYSTONE = str(ROOT / ".venv" / "bin" / "drystone")


PEER_CELLS = 10


@dataclass(frozen=True)
class Benchmark:
    """A program under bench/ with its arguments, and how much of a guest it needs (None: it runs on this machine)."""

    file: str
    lab: tuple[str, ...] | None = None
    arguments: tuple[str, ...] = ()

    def command(self) -> list[str]:
        """The command line that runs it and prints its JSON."""
        program = [PYTHON, str(ROOT / "bench" / self.file), *self.arguments]
        return program if self.lab is None else [DRYSTONE, "lab", "run", *self.lab, "--", *program]


BENCHMARKS = {
    "start-up": Benchmark("start_up.py"),
    "dm": Benchmark("dm_ioctl.py", lab=()),
    "metadata": Benchmark("metadata.py"),
    "dvm": Benchmark("dvm_peers.py", lab=("--memory", "2G")),
    "volumes": Benchmark("volume_peers.py", lab=("--memory", "2G"), arguments=("--client", "convoy,curl")),
    "backup": Benchmark("backup.py", lab=("--memory", "2G")),
    "backup-peers": Benchmark("backup_peers.py", arguments=("--size", "512M")),
    "backup-growth": Benchmark(
        "backup_growth.py", arguments=("--sizes", "1G,4G,16G", "--peer-most", "4G", "--runs", "2")
    ),
    "fleet-nginx": Benchmark("fleet_nginx.py"),
    "fleet-swift": Benchmark("fleet_swift.py"),
    "cluster-path": Benchmark("cluster_path.py", lab=("--memory", "1G")),
}


def bar(ratio: float) -> str:
    """A bar that is ten cells long at the peer's own time: shorter is faster than the peer. `+`: longer than shown."""
    cells = max(1, round(ratio * PEER_CELLS))
    return "█" * cells if cells <= 2 * PEER_CELLS else "█" * (2 * PEER_CELLS) + "+"


def table(measurements: list[dict[str, Any]]) -> Table:
    """The measurements as a table, with a bar a row."""
    shown = Table(title="Drystone beside its peers (ratio below 1: we are faster; a bar of ten cells is the peer)")
    for column in ("what", "ours", "peer's", "", "peer", "ratio", "least..most", ""):
        shown.add_column(column, justify="right" if column in {"ours", "peer's", "ratio"} else "left")
    for each in measurements:
        least, most = each["spread"]
        shown.add_row(
            each["name"], f"{each['ours_s']:.4g}", f"{each['peer_s']:.4g}", each.get("unit", "s"), each["peer"],
            f"{each['ratio']:.3f}", f"{least:.3f}..{most:.3f}", bar(each["ratio"]),
        )  # fmt: skip
    return shown


def main() -> int:
    """Run the benchmarks named on the command line, or all of them."""
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed package has its bytecode; compiling is not measured
    as_json = "--json" in sys.argv[1:]
    names = [word for word in sys.argv[1:] if not word.startswith("-")] or list(BENCHMARKS)
    unknown = [name for name in names if name not in BENCHMARKS]
    if unknown:
        print(f"no benchmark {unknown[0]!r}; there are: {', '.join(BENCHMARKS)}", file=sys.stderr)
        return 2
    measurements: list[dict[str, Any]] = []
    failed = 0
    for name in names:
        print(f"bench: {name} ...", file=sys.stderr, flush=True)
        done = subprocess.run(BENCHMARKS[name].command(), stdout=subprocess.PIPE, text=True, cwd=ROOT, check=False)
        if done.returncode:
            print(f"bench: {name} failed with exit code {done.returncode}", file=sys.stderr)
            failed = 1
            continue
        measurements += json.loads(done.stdout)
    if as_json:
        print(json.dumps(measurements, indent=2))
    else:
        Console(width=None if sys.stdout.isatty() else 140).print(table(measurements))
    return failed


if __name__ == "__main__":
    sys.exit(main())
