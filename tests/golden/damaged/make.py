"""Make the golden damaged images, and write down what each tool says of them:

    .venv/bin/python tests/golden/damaged/make.py

Writes thin.img.xz, era.img.xz and era-large.img.xz, which are sound; TARGET-KIND.img.xz for every kind of damage, made
of one of those; damaged.json with a line on what is wrong in each, and with what 0.9 and 1.x say of it and of the same
damage in every other part that it fits; and docs/reference/damage.md out of that. Wants both lines of the tools, see
scripts/peers.
"""

from __future__ import annotations

import json
import lzma
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from drystone.formats.pdata.memory import MemoryBlocks
from drystone.testing.damage.examples import EXAMPLES
from drystone.testing.damage.table import KINDS, READERS, Plan, Target, apply_damage, list_places, plan_damage
from drystone.testing.damage.verdict import judge
from drystone.testing.peers import Peer, find_peer

FOLDER = Path(__file__).parent
PAGE = FOLDER.parents[2] / "docs" / "reference" / "damage.md"
TARGETS: tuple[Target, ...] = ("thin", "era")
NAMES = {"thin": ["thin"], "era": ["era", "era-large"]}
SECONDS = 5
SEED = 1

HEAD = """# Damage, and who finds it

Every kind of damage that `drystone thin damage` and `drystone era damage` make, done to every part of metadata that it
fits, and what the checks say: `finds` (it fails), `passes` (it says that all is well), `aborts` (a signal ended it),
`hangs` (nothing after {seconds} seconds). Ours finds all of them and names a block that the damage is in or leads to.
Where the superblock counts too many blocks as in use, which hides room and no more, it says so in a note and passes.
`thin_check` and `era_check` are those of thin-provisioning-tools {old} and {new}.

Written by tests/golden/damaged/make.py; the images are beside it, with a line on what is wrong in each in damaged.json.
"""


def read_peer(peer: Peer, target: Target, image: Path) -> str:
    """What that line's check says."""
    try:
        code = subprocess.run(
            peer.command(f"{target}_check", image),
            capture_output=True,
            timeout=SECONDS,
            check=False,
            stdin=subprocess.DEVNULL,
        ).returncode
    except subprocess.TimeoutExpired:
        return "hangs"
    return "passes" if code == 0 else "finds" if code > 0 else "aborts"


def ask_peers(target: Target, data: bytes, lines: tuple[str, ...] = ("0.9", "1.x")) -> dict[str, str]:
    """What the checks of those lines say, as far as they are here."""
    said: dict[str, str] = {}
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        image = Path(folder) / "image"
        image.write_bytes(data)
        for line in lines:
            peer = find_peer("0.9" if line == "0.9" else "1.x")
            if peer is not None:
                said[line] = read_peer(peer, target, image)
    return said


def describe(plan: Plan) -> str:
    """One line on what is wrong."""
    first = plan.changes[0]
    place = "the file" if first.block < 0 else f"block {first.block} byte {first.offset}"
    more = f", and {len(plan.changes) - 1} more" if len(plan.changes) > 1 else ""
    line = f"{place}: {first.what} is {first.after}, was {first.before}{more}"
    return line if len(line) < 200 else f"{place}: {first.what} is another"


def make_cases(target: Target) -> Iterator[tuple[dict[str, Any], bytes]]:
    """Every kind with every part that it fits: what is to be known of it, and the damaged image."""
    images = [make() for make in EXAMPLES[target]]
    anatomies = [READERS[target](MemoryBlocks(data)) for data in images]
    for kind in KINDS[target].values():
        which = next(i for i, anatomy in enumerate(anatomies) if list_places(anatomy, kind))
        base = images[which]
        for part in sorted({site.part for site in list_places(anatomies[which], kind)}):
            reader = MemoryBlocks(base)
            plan = plan_damage(target, kind.name, reader, seed=SEED, part=part, anatomy=anatomies[which])
            damaged = apply_damage(plan, base)
            verdict = judge(target, MemoryBlocks(damaged))
            case = {
                "target": target,
                "kind": kind.name,
                "part": part,
                "seed": SEED,
                "base": NAMES[target][which],
                "wrong": describe(plan),
                "ours": ("note: " if verdict.sound else "") + verdict.lines[0],
                **ask_peers(target, damaged),
            }
            yield case, damaged


def write_page(cases: list[dict[str, Any]], old: str, new: str) -> str:
    """The page, out of damaged.json alone."""
    lines = [HEAD.format(seconds=SECONDS, old=old, new=new)]
    for target in TARGETS:
        lines += [f"## {target}\n", f"| damage | to | {old} | {new} |", "|---|---|---|---|"]
        for kind in KINDS[target].values():
            mine = [case for case in cases if case["target"] == target and case["kind"] == kind.name]
            verdicts = sorted({(case["0.9"], case["1.x"]) for case in mine})
            for before, now in verdicts:
                parts = ", ".join(case["part"] for case in mine if (case["0.9"], case["1.x"]) == (before, now))
                lines.append(f"| `{kind.name}` {kind.summary} | {parts} | {before} | {now} |")
        lines.append("")
    return "\n".join(lines)


def main() -> None:
    peers = [find_peer("0.9"), find_peer("1.x")]
    if None in peers:
        sys.exit("make: wants thin-provisioning-tools 0.9 and 1.x: scripts/peers")
    for target in TARGETS:
        for name, make in zip(NAMES[target], EXAMPLES[target], strict=True):
            (FOLDER / f"{name}.img.xz").write_bytes(lzma.compress(make(), preset=9))
    cases: list[dict[str, Any]] = []
    for target in TARGETS:
        for case, damaged in make_cases(target):
            if case["kind"] not in {each["kind"] for each in cases if each["target"] == target}:
                case["file"] = f"{target}-{case['kind']}.img.xz"
                (FOLDER / case["file"]).write_bytes(lzma.compress(damaged, preset=9))
            cases.append(case)
    versions = [peer.version for peer in peers if peer is not None]
    document = {"0.9": versions[0], "1.x": versions[1], "cases": cases}
    (FOLDER / "damaged.json").write_text(json.dumps(document, indent=1) + "\n")
    PAGE.write_text(write_page(cases, *versions))


if __name__ == "__main__":
    main()
