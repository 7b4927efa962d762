"""Paired timing: ours and a peer in turn, so that both see the same machine, noise included."""

from __future__ import annotations

import compileall
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import drystone


def compile_all() -> None:
    """Have all of the program compiled, as an installed one is: a source without that is compiled at every start."""
    compileall.compile_dir(str(Path(drystone.__file__).parent), quiet=2)


def timed(action: Callable[[], object]) -> float:
    """Seconds of wall time that `action` takes."""
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def measure(
    name: str,
    ours: Callable[[], object],
    peer_name: str,
    peer: Callable[[], object],
    *,
    runs: int = 5,
    warm_up: int = 1,
) -> dict[str, object]:
    """A measurement for bench/run.py: `runs` pairs after `warm_up` pairs that are not counted."""
    for _ in range(warm_up):
        ours()
        peer()
    pairs = [(timed(ours), timed(peer)) for _ in range(runs)]
    return summarise(name, peer_name, pairs)


def summarise(name: str, peer_name: str, pairs: list[tuple[float, float]]) -> dict[str, object]:
    """Medians, and the ratio pair by pair with its least and most, from (ours, peer) seconds."""
    ratios = [mine / theirs for mine, theirs in pairs]
    return {
        "name": name,
        "ours_s": statistics.median(mine for mine, _ in pairs),
        "peer": peer_name,
        "peer_s": statistics.median(theirs for _, theirs in pairs),
        "ratio": statistics.median(ratios),
        "spread": [min(ratios), max(ratios)],
    }
