"""What the kernel counts of any block device's I/O: `/sys/dev/block/MAJOR:MINOR/stat`.

Facts: Linux 6.1 `Documentation/block/stat.rst`. Times are of whole milliseconds, summed up.
"""

from __future__ import annotations

from pathlib import Path

from drystone.base.errors import DamagedError
from drystone.base.sizes import SECTOR
from drystone.kernel.dm.io_statistics import IoCounts

_FIELDS = 11
"""That every kernel has; later ones add discards and flushes."""
_BLOCK = Path("/sys/dev/block")


def read_disk_counts(number: str, folder: Path = _BLOCK) -> IoCounts | None:
    """What a device has counted since it is there; None: it is gone. :param number: MAJOR:MINOR.

    :raises DamagedError: the file says something else.
    """
    try:
        text = (folder / number / "stat").read_text(encoding="ascii")
    except (FileNotFoundError, NotADirectoryError, ProcessLookupError):
        return None
    except OSError as error:  # a disk that is just going away
        raise DamagedError(f"counters of {number}: {error.strerror or error}") from error
    words = text.split()
    if len(words) < _FIELDS or not all(each.isascii() and each.isdigit() for each in words[:_FIELDS]):
        raise DamagedError(f"the counters of {number} say {text[:200]!r}")
    values = [int(each) for each in words[:_FIELDS]]
    return IoCounts(
        reads=values[0],
        read_bytes=values[2] * SECTOR,
        read_seconds=values[3] / 1000,
        writes=values[4],
        written_bytes=values[6] * SECTOR,
        write_seconds=values[7] / 1000,
        in_flight=values[8],
    )
