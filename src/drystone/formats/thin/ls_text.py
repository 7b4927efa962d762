"""The fields of thin_ls and how its table is spelt.

A column is as wide as its widest cell, right-aligned, with a blank after it. Sizes are in the largest unit that leaves
more than 8 of it; below 1024 of it they are rounded to the nearest, above the fraction is dropped, as both versions of
thin-provisioning-tools do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from drystone.base.errors import UsageError
from drystone.base.sizes import SECTOR
from drystone.formats.thin.ls import Listed

_UNITS = ("b", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB", "YiB")
_LARGEST_COUNT = 8192
_ROUNDED_BELOW = 1024


@dataclass(frozen=True, slots=True)
class Field:
    """A column: a number of each device.

    :ivar measure: the number, in pool blocks if `factor` is not None. :ivar factor: what a pool block of so many bytes
        counts for. :ivar last: the number is an end: what is told is the one before it, and 0 when there is none.
    :ivar counted: needs the exclusive blocks. :ivar highest: needs the highest block. :ivar pretty: told with a unit.
    """

    name: str
    measure: Callable[[Listed], int]
    factor: Callable[[int], int] | None = None
    last: bool = False
    counted: bool = False
    highest: bool = False
    pretty: bool = False

    @property
    def key(self) -> str:
        """Its name in JSON."""
        return self.name.lower()

    def get(self, listed: Listed, block_size: int) -> int:
        """The number of one device; `block_size` in bytes."""
        number = self.measure(listed) * (self.factor(block_size) if self.factor else 1)
        return max(number - 1, 0) if self.last else number


def _make_fields() -> dict[str, Field]:
    fields = [Field("DEV", lambda listed: listed.details.dev_id)]
    for suffix, last, factor in (
        ("_BLOCKS", "HIGHEST_BLOCK", None),
        ("_SECTORS", "HIGHEST_SECTOR", _count_sectors),
        ("_BYTES", "HIGHEST_BYTE", int),
        ("", "HIGHEST_MAPPED", int),
    ):
        pretty = not suffix
        fields += [
            Field(f"MAPPED{suffix}", lambda listed: listed.details.mapped_blocks, factor, pretty=pretty),
            Field(f"EXCLUSIVE{suffix}", lambda listed: listed.exclusive or 0, factor, counted=True, pretty=pretty),
            Field(f"SHARED{suffix}", lambda listed: listed.shared or 0, factor, counted=True, pretty=pretty),
            Field(last, _find_end, factor, last=not pretty, highest=True, pretty=pretty),
        ]
    fields += [
        Field("TRANSACTION", lambda listed: listed.details.transaction_id),
        Field("CREATE_TIME", lambda listed: listed.details.creation_time),
        Field("SNAP_TIME", lambda listed: listed.details.snapshotted_time),
    ]
    return {field.name: field for field in fields}


def _count_sectors(block_size: int) -> int:
    return block_size // SECTOR


def _find_end(listed: Listed) -> int:
    """One past the last block that is mapped."""
    return 0 if listed.highest is None else listed.highest + 1


FIELDS = _make_fields()
DEFAULT = ("DEV", "MAPPED", "CREATE_TIME", "SNAP_TIME")


def find_fields(text: str) -> list[Field]:
    """The fields named in `text`, with commas between.

    :raises UsageError: one of them is not known.
    """
    names = text.split(",")
    for name in names:
        if name not in FIELDS:
            raise UsageError(f"field {name!r} is not known", hint=f"one of {','.join(FIELDS)}")
    return [FIELDS[name] for name in names]


def format_table(
    fields: Sequence[Field], devices: Iterable[Listed], block_size: int, *, headers: bool, old: bool = False
) -> Iterator[str]:
    """The lines of the table; `block_size` in bytes. `old`: a size of nothing is 0, as in 0.9, instead of 0b."""
    rows = [[field.name for field in fields]] if headers else []
    for device in devices:
        numbers = [field.get(device, block_size) for field in fields]
        rows.append(
            [
                format_amount(number, old=old) if field.pretty else str(number)
                for field, number in zip(fields, numbers, strict=True)
            ]
        )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "".join(f"{cell:>{width}} " for cell, width in zip(row, widths, strict=True)) + "\n"


def format_amount(size: int, *, old: bool = False) -> str:
    """`size` bytes for people: 5760KiB, 23MiB."""
    if not size:
        return "0" if old else "0b"
    power = 0
    while size > _LARGEST_COUNT << 10 * power:
        power += 1
    amount, rest = divmod(size, 1 << 10 * power)
    if amount < _ROUNDED_BELOW and rest * 2 >= 1 << 10 * power and power:
        amount += 1
    return f"{amount}{_UNITS[power]}"
