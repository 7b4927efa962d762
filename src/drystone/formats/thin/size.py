"""How much metadata a pool may need: the reckoning, the units and the spelling of thin_metadata_size.

Blocks of metadata = 1 superblock + one leaf of 252 mappings for every 252 half-filled places + one root for each thin
device; the factor two stands for leaves that are half full. Sizes are in whole 512-byte sectors, as that tool counts.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from drystone.base.errors import UsageError
from drystone.base.sizes import SECTOR
from drystone.formats.pdata.blocks import BLOCK
from drystone.formats.thin.layout import LARGEST_DATA_BLOCK, SMALLEST_DATA_BLOCK

MAPPINGS_A_LEAF = 252


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit of size: its letter, its name in the plural, and its bytes."""

    letter: str
    name: str
    size: int


def _make_units() -> dict[str, Unit]:
    units = [Unit("b", "bytes", 1), Unit("s", "sectors", SECTOR)]
    prefixes = ("kilo kibi", "mega mebi", "giga gibi", "tera tebi", "peta pebi", "exa exbi", "zetta zebi", "yotta yobi")
    for power, pair in enumerate(prefixes, start=1):
        decimal, binary = pair.split()
        units.append(Unit(decimal[0], f"{binary}bytes", 1024**power))
        units.append(Unit(decimal[0].upper(), f"{decimal}bytes", 1000**power))
    return {unit.letter: unit for unit in units}


UNITS = _make_units()
"""Letter -> unit: b bytes, s sectors, lower case powers of 1024, upper case powers of 1000."""

_QUANTITY = re.compile(r"([0-9]+)(.?)", re.ASCII | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Quantity:
    """A whole number as it was written, with its unit or none."""

    digits: str
    unit: Unit | None

    @property
    def count(self) -> int:
        """The number alone."""
        return int(self.digits)

    @property
    def sectors(self) -> int:
        """As a size: whole sectors of 512 bytes, rounded down; a number without a unit is in sectors."""
        return self.count * (self.unit.size if self.unit else SECTOR) // SECTOR

    @property
    def times(self) -> int:
        """As a number of things: `2k` is 2048."""
        return self.count * (self.unit.size if self.unit else 1)

    def format(self, default: str = "") -> str:
        """As thin_metadata_size repeats it: `2mebibytes`; a number without a unit is followed by `default`."""
        return self.digits + (self.unit.name if self.unit else default)


def find_unit(letter: str) -> Unit:
    """The unit of a letter. :raises UsageError: there is none."""
    unit = UNITS.get(letter)
    if unit is None:
        raise UsageError(f"unit {letter!r} is not known", hint=f"one of {' '.join(UNITS)}")
    return unit


def parse_quantity(text: str, what: str) -> Quantity:
    """A whole number of at most 30 digits and at most one unit letter: `2m`, `100G`, `128`.

    :param what: what it is, for the message.
    :raises UsageError: anything else, and zero.
    """
    match = _QUANTITY.fullmatch(text)
    if match is None or len(match[1]) > 30:
        raise UsageError(f"{what} {text[:40]!r} is not a whole number with a unit", hint="write 64k, 2m, 100G or 1000")
    if not int(match[1]):
        raise UsageError(f"{what} is 0, expected 1 or more")
    return Quantity(match[1], find_unit(match[2]) if match[2] else None)


def estimate_metadata_size(block_size: int, pool_size: int, max_thins: int) -> int:
    """Bytes of metadata for a pool of `pool_size` in blocks of `block_size` (both in sectors) with `max_thins` devices.

    :raises UsageError: a block size that a pool cannot have, or a pool that is no larger than a block.
    """
    if not SMALLEST_DATA_BLOCK <= block_size <= LARGEST_DATA_BLOCK or block_size % SMALLEST_DATA_BLOCK:
        raise UsageError(
            f"block size of {block_size * SECTOR} bytes is not possible", hint="64 KiB to 1 GiB, a multiple of 64 KiB"
        )
    if pool_size <= block_size:
        raise UsageError("pool size must be larger than block size")
    return BLOCK * (1 + 2 * pool_size // block_size // MAPPINGS_A_LEAF + max_thins)


def format_amount(size: int, unit: Unit) -> str:
    """`size` bytes in `unit`: whole numbers whole, others with two decimals, those below 0.01 as 4.96e-06."""
    whole, rest = divmod(size, unit.size)
    if not rest:
        return str(whole)
    amount = size / unit.size
    return f"{amount:.2e}" if amount < 0.01 else f"{amount:.2f}"
