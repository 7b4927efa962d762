"""What `drystone backup create` does of its own when its source is an era device."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from drystone.base.errors import UsageError
from drystone.cli.backup.wish import Wish
from drystone.cli.era_backup import find_era_disk

if TYPE_CHECKING:
    from drystone.backup.repository import BackupInfo
    from drystone.kernel.dm.abc import DeviceMapper


@dataclass(frozen=True, slots=True)
class EraOptions:
    """`--state`, `--data` and `--at-era`."""

    state: Path | None
    data: Path | None
    at_era: int | None

    @property
    def given(self) -> bool:
        """Whether one of them was."""
        return any(each is not None for each in (self.state, self.data, self.at_era))

    def check(self, wish: Wish) -> None:
        """:raises UsageError: they do not fit together."""
        if (self.data is None) != (self.at_era is None):
            raise UsageError(
                "--data and --at-era go together", hint="--at-era is what `drystone era checkpoint` printed"
            )
        if self.state is not None and (wish.base or wish.full):
            raise UsageError("--state says what to build upon", hint="leave out --base and --full, or --state")
        if self.state is not None and self.state.exists() and not self.state.is_file():
            raise UsageError(f"the state file {self.state} is no plain file")


def back_up_era_device(dm: DeviceMapper, wish: Wish, options: EraOptions) -> BackupInfo | None:
    """Back an era device up; None: the source is none."""
    from drystone.backup.era_backup import EraRequest, back_up_era

    options.check(wish)
    disk = find_era_disk(dm, wish.source, wish.warnings)
    if disk is None:
        return None
    volume, base = wish.name_base()
    request = EraRequest(volume, wish.known, base, wish.full, options.state, str(options.data or ""), options.at_era)
    passed: list[str] = []
    made = back_up_era(
        wish.open(), disk, request, damaged=lambda error: passed.append(error.message), progress=wish.progress
    )
    wish.warnings.extend(f"{each}; it was passed over" for each in passed)
    wish.warnings.extend(made.warnings)
    if made.reading.choice.since is None:
        wish.warnings.append(f"everything was read: {made.reading.choice.reason}")
    return made.head
