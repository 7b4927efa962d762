"""`--metrics FILE`: what the last run did, as Prometheus text for the node exporter's textfile collector.

The file is replaced whole. After a failure it says so, and keeps the time of the last success that it knew.
"""

from __future__ import annotations

import contextlib
import functools
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

from drystone.base.errors import DrystoneError, InternalError, NotFoundError, UsageError
from drystone.cli.backup.opening import warn
from drystone.cli.exits import INTERRUPTED, name_failure

if TYPE_CHECKING:
    from drystone.backup.repository import BackupInfo

Function = TypeVar("Function", bound=Callable[..., Any])

_SUCCESS_TIME = "drystone_backup_last_success_timestamp_seconds"
_MEANINGS = {
    "drystone_backup_last_run_timestamp_seconds": "When the last run ended, in seconds since 1970.",
    "drystone_backup_last_run_duration_seconds": "How long it took.",
    "drystone_backup_last_run_success": "1 when it succeeded, else 0.",
    "drystone_backup_last_run_exit_code": "Its exit code.",
    _SUCCESS_TIME: "When a run succeeded for the last time.",
    "drystone_backup_image_bytes": "Size of the image.",
    "drystone_backup_read_bytes": "Bytes that were read from the source.",
    "drystone_backup_stored_bytes": "Bytes that were added to the store.",
    "drystone_backup_chunks": "Chunks of the image that are not zero.",
    "drystone_backup_scrubbed_bytes": "Bytes of packs that a scrub has read.",
    "drystone_backup_damaged_places": "Chunks and map segments that are lost or misplaced, after repair.",
    "drystone_backup_deleted_backups": "Backups that a prune has deleted.",
    "drystone_backup_freed_bytes": "Bytes of packs that a prune has deleted.",
}
_LARGEST_FILE = 1 << 20
_MEASURES = "drystone.cli.backup.metrics"
"""Where a command's context keeps them."""


@dataclass(slots=True)
class Measures:
    """What a run measures.

    :ivar labels: for every metric: `command` and more. :ivar values: name without `drystone_backup_` -> value.
    """

    labels: dict[str, str]
    values: dict[str, float] = field(default_factory=dict)

    def note(self, info: BackupInfo) -> None:
        """The figures of a backup that was made."""
        self.values |= {
            "image_bytes": info.size,
            "read_bytes": info.read,
            "stored_bytes": info.stored,
            "chunks": info.chunks,
        }


def metrics_option(command: str, name_source: Callable[[dict[str, Any]], str]) -> Callable[[Function], Function]:
    """`--metrics FILE`: the whole command is measured; `current_measures` is what it may add to.

    :param name_source: the label `source`, from the command's parameters.
    """

    def decorate(function: Function) -> Function:
        @functools.wraps(function)
        def call(*arguments: object, metrics: Path | None, **others: Any) -> None:
            with measured(metrics, command=command, source=name_source(others)) as measures:
                click.get_current_context().meta[_MEASURES] = measures
                function(*arguments, **others)

        option = click.option(
            "--metrics",
            type=click.Path(dir_okay=False, path_type=Path),
            metavar="FILE",
            help="Write what the run did to FILE, as Prometheus text for the node exporter.",
        )
        return option(cast("Function", call))

    return decorate


def current_measures() -> Measures:
    """Those of the command that runs now, which has the option."""
    found = click.get_current_context().meta[_MEASURES]
    assert isinstance(found, Measures)
    return found


@contextlib.contextmanager
def measured(path: Path | None, **labels: str) -> Iterator[Measures]:
    """Measure the block; the file is written at its end, whatever that is.

    :param path: of the file; None: nothing is written.
    :raises NotFoundError: its folder is not there; nothing was run. :raises UsageError: it is no plain file; likewise.
    """
    from drystone.base.files import check_replaceable

    measures = Measures(labels)
    if path is None:
        yield measures
        return
    if not path.parent.is_dir():
        raise NotFoundError(f"there is no folder {path.parent} for the metrics")
    check_replaceable(path)
    begun = time.monotonic()
    code = InternalError.exit_code
    try:
        yield measures
        code = 0
    except DrystoneError as error:
        code = error.exit_code
        raise
    except OSError as error:
        code = name_failure(error).exit_code
        raise
    except KeyboardInterrupt:
        code = INTERRUPTED
        raise
    except (SystemExit, click.exceptions.Exit) as ended:
        code = _exit_code(ended)
        raise
    finally:
        _write(path, measures, time.monotonic() - begun, code)


def _exit_code(ended: SystemExit | click.exceptions.Exit) -> int:
    code = ended.code if isinstance(ended, SystemExit) else ended.exit_code
    return code if isinstance(code, int) else InternalError.exit_code


def _write(path: Path, measures: Measures, seconds: float, code: int) -> None:
    """The run is over, and its end is told by its exit code: a file that cannot be written is a warning."""
    from drystone.base.files import replace_file

    now = time.time()
    values = {
        "drystone_backup_last_run_timestamp_seconds": now,
        "drystone_backup_last_run_duration_seconds": seconds,
        "drystone_backup_last_run_success": float(code == 0),
        "drystone_backup_last_run_exit_code": float(code),
        **{f"drystone_backup_{name}": float(value) for name, value in measures.values.items()},
    }
    try:
        succeeded = now if code == 0 else _last_success(path, measures.labels)
        if succeeded is not None:
            values[_SUCCESS_TIME] = succeeded
        replace_file(path, render(values, measures.labels), mode=0o644)
    except (OSError, UsageError) as error:
        warn(f"the metrics cannot be written: {path}: {getattr(error, 'strerror', None) or error}")


def render(values: dict[str, float], labels: dict[str, str]) -> bytes:
    """Prometheus text."""
    from prometheus_client import CollectorRegistry, Gauge, generate_latest

    registry = CollectorRegistry()
    for name, value in values.items():
        Gauge(name, _MEANINGS[name], list(labels), registry=registry).labels(**labels).set(value)
    return generate_latest(registry)


def _last_success(path: Path, labels: dict[str, str]) -> float | None:
    """What the file says, if it is one of ours for the same run."""
    from prometheus_client.parser import text_string_to_metric_families

    try:
        with path.open("rb") as file:
            text = file.read(_LARGEST_FILE).decode()
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                if sample.name == _SUCCESS_TIME and sample.labels == labels:
                    return float(sample.value)
    except (FileNotFoundError, ValueError):  # no file yet, or one that is not ours
        return None
    return None
