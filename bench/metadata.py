"""The metadata tools as whole processes: ours against thin-provisioning-tools 0.9 and 1.x on the same images.

    python bench/metadata.py [--runs N] [--folder FOLDER] [PART-OF-A-NAME...]

Images come from bench/metadata_images.py, into FOLDER (a temporary one by default; about 1.2 GB). A row is a tool on an
image against one peer, in wall time and in the most memory that the process had at once; times are medians of pairs.
Prints a JSON list as bench/run.py describes it.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from metadata_images import IMAGES, make_images

from drystone.testing.peers import Peer, find_peer
from pairs import summarise

TOOLS = str(Path(sys.executable).parent / "convoy-pdata_tools")


_LAUNCHER = """
import posix, sys, time
start = time.perf_counter()
child = posix.fork()
if not child:
    posix.dup2(posix.open("/dev/null", posix.O_WRONLY), 1)
    posix.execv(sys.argv[1], sys.argv[1:])
_, status, usage = posix.wait4(child, 0)
print(posix.waitstatus_to_exitcode(status), time.perf_counter() - start, usage.ru_maxrss)
"""
"""Starts a command from a process that is small itself: the kernel counts the memory before exec as the command's."""


@dataclass(frozen=True, slots=True)
class Case:
    """One command line of a tool; `IMAGE`, `DUMP` and `OUT` stand for files.

    :ivar ours: words that only ours takes. :ivar slow: 0.9 takes minutes: run once against it, however many runs are
        asked for.
    """

    image: str
    words: tuple[str, ...]
    ours: tuple[str, ...] = ()
    slow: bool = False

    @property
    def name(self) -> str:
        """What the table shows."""
        return " ".join(
            [*(word for word in self.words if word not in {"IMAGE", "-i", "DUMP", "-o", "OUT"}), *self.ours]
        )


_DELTA = ("thin_delta", "--thin1", "1", "--thin2", "2", "IMAGE")
CASES = (
    Case("thin-5m", ("thin_check", "IMAGE")),
    Case("thin-5m", ("thin_dump", "IMAGE")),
    Case("thin-5m", _DELTA),
    Case("thin-5m", _DELTA, ours=("--changed-only",)),
    Case("thin-5m", ("thin_ls", "IMAGE")),
    Case("thin-5m", ("thin_rmap", "--region", "0..100000", "IMAGE")),
    Case("thin-5m", ("thin_restore", "-i", "DUMP", "-o", "OUT"), slow=True),
    Case("thin-5m-scattered", ("thin_check", "IMAGE")),
    Case("thin-5m-scattered", ("thin_dump", "IMAGE")),
    Case("thin-5m-scattered", ("thin_restore", "-i", "DUMP", "-o", "OUT"), slow=True),
    Case("thin-20m", ("thin_check", "IMAGE")),
    Case("thin-20m", ("thin_dump", "IMAGE")),
    Case("thin-20m", _DELTA),
    Case("thin-20m", _DELTA, ours=("--changed-only",)),
    Case("thin-20m", ("thin_ls", "IMAGE")),
    Case("thin-20m", ("thin_restore", "-i", "DUMP", "-o", "OUT"), slow=True),
    Case("era-4m", ("era_check", "IMAGE")),
    Case("era-4m", ("era_dump", "IMAGE"), slow=True),
    Case("era-4m", ("era_dump", "--logical", "IMAGE"), slow=True),
    Case("era-4m", ("era_invalidate", "--written-since", "102", "IMAGE")),
    Case("era-4m-idle", ("era_restore", "-i", "DUMP", "-o", "OUT"), slow=True),
)


@dataclass(frozen=True, slots=True)
class Files:
    """Where a case's files are."""

    image: Path
    dump: Path
    out: Path

    def fill(self, words: tuple[str, ...]) -> list[str]:
        """The words with the files in their places."""
        names = {"IMAGE": self.image, "DUMP": self.dump, "OUT": self.out}
        return [str(names.get(word, word)) for word in words]


def run(command: list[str]) -> tuple[float, float]:
    """Seconds of wall time, and MiB of memory at most, of one process.

    :raises RuntimeError: it failed.
    """
    done = subprocess.run(
        [sys.executable, "-S", "-E", "-c", _LAUNCHER, *command], stdout=subprocess.PIPE, text=True, check=True
    )
    status, seconds, kib = done.stdout.split()
    if int(status):
        raise RuntimeError(f"{command} ended with {status}")
    return float(seconds), int(kib) / 1024


def compare(case: Case, files: Files, peer: Peer, runs: int) -> list[dict[str, object]]:
    """The rows of one case against one peer."""
    ours = [TOOLS, *files.fill(case.words), *case.ours]
    theirs = peer.command(*files.fill(case.words))
    theirs[0] = shutil.which(theirs[0]) or theirs[0]
    pairs = [(run(ours), run(theirs)) for _ in range(1 if case.slow and peer.line == "0.9" else runs)]
    who = f"{case.words[0]} {peer.version}"
    millions = case.image.removeprefix("thin-").removeprefix("era-")
    name = f"{case.name}, {millions}"
    return [
        summarise(name, who, [(mine[0], other[0]) for mine, other in pairs]),
        {**summarise(f"{name}: memory", who, [(mine[1], other[1]) for mine, other in pairs]), "unit": "MiB"},
    ]


def prepare(case: Case, peer: Peer, folder: Path) -> Files:
    """Make what a case reads and writes. A dump is the peer's own: 0.9 reads no shared subtrees, and writes none."""
    image = make_images(folder, [case.image])[case.image]
    files = Files(image, image.with_suffix(f".{peer.version}.xml"), image.with_suffix(".out"))
    if "DUMP" in case.words and not files.dump.exists():
        tool = case.words[0].partition("_")[0] + "_dump"
        with files.dump.open("wb") as dump:
            subprocess.run(peer.command(tool, image), stdout=dump, check=True)
    if "OUT" in case.words:
        with files.out.open("wb") as out:
            out.truncate(2 * image.stat().st_size)
    return files


def main() -> int:
    """Measure and print."""
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # as in run.py, for a run of this file alone
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("parts", nargs="*", metavar="PART-OF-A-NAME")
    options = parser.parse_args()
    peers = [peer for peer in (find_peer("0.9"), find_peer("1.x")) if peer is not None]
    if not peers:
        print("no thin-provisioning-tools: install the package, or run scripts/peers", file=sys.stderr)
        return 1
    rows: list[dict[str, object]] = []
    # Debian's tools read with O_DIRECT, which a tmpfs at /tmp would refuse.
    with tempfile.TemporaryDirectory(dir="/var/tmp") as temporary:
        for case in CASES:
            label = f"{case.name}, {case.image}"
            if options.parts and not any(part in label for part in options.parts):
                continue
            for peer in peers:
                print(f"bench: {label}, {peer.version} ...", file=sys.stderr, flush=True)
                files = prepare(case, peer, options.folder or Path(temporary))
                rows += compare(case, files, peer, options.runs)
    print(json.dumps(rows, indent=2))
    return 0


if __name__ == "__main__":
    assert set(IMAGES) >= {case.image for case in CASES}
    sys.exit(main())
