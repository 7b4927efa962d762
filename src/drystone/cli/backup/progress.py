"""How far a long run is, on stderr: JSON lines with --json, a bar on a terminal, else a line a minute."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterator

from drystone.base.sizes import format_size
from drystone.cli.output import interactive, tell

Report = Callable[[int, int], None]
"""Called with (bytes done, bytes in all); 0 in all: nobody knows how many."""

Clock = Callable[[], float]
"""Monotonic seconds."""

_JSON_EVERY = 0.5
"""Seconds between two lines of --json."""
_LINE_EVERY = 60.0


@contextlib.contextmanager
def show_progress(what: str, *, as_json: bool, clock: Clock = time.monotonic) -> Iterator[Report]:
    """Within the block, what is reported is shown."""
    if as_json:
        yield _json_lines(what, clock)
    elif not interactive():
        yield _lines(what, clock)
    else:
        with _bar(what) as report:
            yield report


@contextlib.contextmanager
def _bar(what: str) -> Iterator[Report]:
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = (
        TextColumn("{task.description}"), BarColumn(), DownloadColumn(binary_units=True), TransferSpeedColumn(),
        TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total or None)


def _json_lines(what: str, clock: Clock) -> Report:
    """Lines of {"progress", "done", "total", "rate", "left"}: bytes, bytes a second, seconds.

    Where nobody knows the end, `total` and `left` are missing.
    """
    begun = clock()
    last = float("-inf")

    def report(done: int, total: int) -> None:
        nonlocal last
        now = clock()
        if now - last < _JSON_EVERY and (done < total or not total):
            return
        last = now
        rate = done / (now - begun) if now > begun else 0.0
        line = {"progress": what, "done": done}
        if total:
            line["total"] = total
        line["rate"] = round(rate)
        if rate and total:
            line["left"] = round((total - done) / rate)
        tell(json.dumps(line))

    return report


def _lines(what: str, clock: Clock) -> Report:
    """A line for people after each minute; none for a run that is shorter."""
    begun = last = clock()

    def report(done: int, total: int) -> None:
        nonlocal last
        now = clock()
        if now - last < _LINE_EVERY:
            return
        last = now
        rate = done / (now - begun)
        parts = [f"{format_size(done)} of {format_size(total)}" if total else format_size(done)]
        parts.append(f"{format_size(round(rate))} a second")
        if rate and total:
            parts.append(f"{_spell_time(round((total - done) / rate))} left")
        tell(f"{what}: {', '.join(parts)}")

    return report


def _spell_time(seconds: int) -> str:
    """`45 s`, `12 min`, `3 h 20 min`."""
    if seconds < 60:
        return f"{seconds} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"
