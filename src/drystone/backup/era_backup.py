"""A backup of an era device, full or incremental: which it is, and what the next one will need."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from drystone.backup.era_source import EraDisk, EraSource, EraSourceInUse, Reading, read_changes
from drystone.backup.era_state import EraState, from_about, read_state, write_state
from drystone.backup.facts import find_state
from drystone.backup.format.manifest import Head
from drystone.backup.pipeline import Progress, silent
from drystone.backup.repository import BackupRequest, Repository
from drystone.base.errors import DamagedError, DrystoneError, NotFoundError


@dataclass(frozen=True, slots=True)
class EraRequest:
    """What to back up as what. As BackupRequest, and:

    :ivar base: UUID of the backup to build upon; "": the newest that is whole enough, or what the state file says.
    :ivar full: build upon none.
    :ivar state_file: where the state is kept beside the manifest; None: nowhere.
    :ivar data: path of a snapshot of the data; "": the era device itself.
    :ivar at_era: the era that had begun when that snapshot was taken.
    """

    volume: str
    source_name: str
    base: str = ""
    full: bool = False
    state_file: Path | None = None
    data: str = ""
    at_era: int | None = None


@dataclass(frozen=True, slots=True)
class EraBackup:
    """What came of it. `warnings`: a line each."""

    head: Head
    reading: Reading
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Base:
    """The backup to build upon ("" for none), its state, and why there is no state."""

    backup: str = ""
    state: EraState | None = None
    missing: str = ""


def back_up_era(
    repository: Repository,
    disk: EraDisk,
    request: EraRequest,
    *,
    damaged: Callable[[DamagedError], None],
    progress: Progress = silent,
) -> EraBackup:
    """Back an era device up. When this returns the backup is durable, and the state file too; an era has begun.

    What was written since the base is read where that is sure to be all that was; otherwise everything, and the base
    saves storing it again.

    :param damaged: takes what is wrong with each backup that is passed over.
    :raises: as `Repository.create`, `read_changes` and `EraSource`.
    """
    base = _find_base(repository, request, damaged)
    reading = read_changes(disk, base.state, base.missing, request.at_era)
    since = reading.choice.since
    about = {**reading.state.to_about(), "era.since": "" if since is None else str(since)}
    with EraSource(request.data, reading) if request.data else EraSourceInUse(disk, reading) as source:
        wanted = BackupRequest(request.volume, request.source_name, base.backup, about, anew=request.full)
        head = repository.create(source, wanted, progress=progress)
        warnings = source.warnings()
    try:
        disk.roll()
    except DrystoneError as error:
        warnings.append(f"no new era could be begun ({error.message}): the next backup may read everything")
    if request.state_file is not None:
        state = msgspec.structs.replace(reading.state, volume=head.volume, backup=head.backup)
        write_state(request.state_file, state)
    return EraBackup(head, reading, tuple(warnings))


def _find_base(repository: Repository, request: EraRequest, damaged: Callable[[DamagedError], None]) -> _Base:
    if request.full:
        return _Base(missing="a full backup was asked for")
    if request.base:
        return _of(repository.inspect(request.volume, request.base))
    if request.state_file is None:
        found = repository.find_base(request.volume, damaged=damaged)
        return _of(found) if found else _Base(missing="there is no backup to build upon")
    state, missing = _read_file(request.state_file, request.volume)
    if state is not None:
        found = repository.find_base(request.volume, damaged=damaged, only=state.backup)
        if found is not None and _of(found).state == msgspec.structs.replace(state, volume="", backup=""):
            return _Base(found.backup, state)
        missing = f"backup {state.backup} of the state file is not there, or is not what it was"
    found = repository.find_base(request.volume, damaged=damaged)
    return _Base(found.backup if found else "", None, missing)


def _of(head: Head) -> _Base:
    """A backup as the base, by its own facts."""
    return _Base(head.backup, *find_state(head, from_about, "an era device"))


def _read_file(path: Path, volume: str) -> tuple[EraState | None, str]:
    """The state in the file, or why there is none."""
    try:
        state = read_state(path)
    except (NotFoundError, DamagedError) as error:
        return None, error.message
    if state.volume != volume:
        return None, f"the state file {path} is of another source"
    return state, ""
