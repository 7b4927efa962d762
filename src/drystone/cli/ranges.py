"""Byte ranges as people and programs want them: lines, JSON, or a bitmap in a file."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from drystone.cli.output import Function, json_option, print_json

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Ranges = NDArray[np.uint64]

_ROW = "[%d, %d]"
_LARGEST = (1 << 63) - 1


@dataclass(frozen=True, slots=True)
class Extent:
    """What ranges of blocks are ranges of.

    :ivar block_size: bytes. :ivar blocks: how many there are; None when it is not known.
    :ivar size: bytes, where the last block ends before its time; None when it is not known.
    """

    block_size: int
    blocks: int | None = None
    size: int | None = None


def ranges_options(function: Function) -> Function:
    """`--json` and `--bitmap FILE`."""
    option = click.option(
        "--bitmap",
        type=click.Path(dir_okay=False, path_type=Path),
        metavar="FILE",
        help="Write a bitmap to FILE: bit N, which is bit N % 8 (0 the lowest) of byte N / 8, stands for block N.",
    )
    return option(json_option(function))


def print_ranges(
    head: dict[str, object], batches: Iterable[Ranges], extent: Extent, *, bitmap: Path | None, as_json: bool
) -> None:
    """Ranges of blocks, shape (n, 2): begin and length, as they come.

    Lines `OFFSET LENGTH`, in bytes; with `as_json` one object, `head` with `ranges`; with `bitmap` the file is written
    (whole, and durable when this returns), and an object says how many blocks are in it.

    :raises DamagedError: a block lies where no device reaches. :raises NotFoundError: the bitmap's folder is not there.
    """
    if bitmap is not None:
        _write_bitmap(head, batches, extent, bitmap, as_json=as_json)
        return
    write = sys.stdout.write
    rows = _to_bytes(batches, extent)
    if not as_json:
        for each in rows:
            write("%d %d\n" * len(each) % tuple(each.reshape(-1).tolist()))
        return
    import json

    before = json.dumps(head, indent=2, ensure_ascii=False)[:-2] + ',\n  "ranges": [\n'
    for each in rows:
        write(before + ",\n".join([_ROW] * len(each)) % tuple(each.reshape(-1).tolist()))
        before = ",\n"
    write("\n]}\n" if before == ",\n" else before.rstrip("\n") + "]}\n")


def _to_bytes(batches: Iterable[Ranges], extent: Extent) -> Iterator[Ranges]:
    import numpy as np

    for ranges in batches:
        _check(ranges, extent)
        found = ranges * np.uint64(extent.block_size)
        if extent.size is not None:
            ends = np.minimum(found.sum(axis=1), np.uint64(extent.size))
            found = found[found[:, 0] < ends]
            found[:, 1] = ends[: len(found)] - found[:, 0]
        if len(found):
            yield found


def _check(ranges: Ranges, extent: Extent) -> None:
    """:raises DamagedError: it reaches beyond 2**63 bytes."""
    from drystone.base.errors import DamagedError

    end = (int(ranges[-1, 0]) + int(ranges[-1, 1])) if len(ranges) else 0
    if end * extent.block_size > _LARGEST:
        raise DamagedError(f"the metadata speaks of block {end - 1}, where no device reaches")


def _write_bitmap(
    head: dict[str, object], batches: Iterable[Ranges], extent: Extent, path: Path, *, as_json: bool
) -> None:
    import numpy as np

    from drystone.base.errors import NotFoundError
    from drystone.base.files import write_all
    from drystone.cli.tools.streams import open_output

    if not path.parent.is_dir():
        raise NotFoundError(f"there is no folder {path.parent}")
    bits = np.zeros(-(-(extent.blocks or 0) // 8), dtype=np.uint8)
    changed = 0
    for ranges in batches:
        if not len(ranges):
            continue
        _check(ranges, extent)
        end = -(-int(ranges[-1].sum()) // 8)
        if end > len(bits):
            # Of a thin device nobody knows the size: the file ends with its last changed block.
            bits = np.concatenate((bits, np.zeros(max(end, 2 * len(bits)) - len(bits), dtype=np.uint8)))
        set_bits(bits, ranges)
        changed += int(ranges[:, 1].sum())
    length = -(-extent.blocks // 8) if extent.blocks is not None else _last(bits)
    data = bits[:length].tobytes()
    with open_output(str(path), durable=True) as file:
        write_all(file.fileno(), data)
    if as_json:
        print_json({**head, "bitmap": str(path), "bytes": length, "changed_blocks": changed})


def _last(bits: NDArray[np.uint8]) -> int:
    """One more than the last byte that is not zero."""
    import numpy as np

    found = np.flatnonzero(bits)
    return int(found[-1]) + 1 if len(found) else 0


def set_bits(bits: NDArray[np.uint8], ranges: Ranges) -> None:
    """Set the bits of ranges (ascending, apart) in `bits`, the lowest bit of a byte first."""
    import numpy as np

    if not len(ranges):
        return
    first = ranges[:, 0].astype(np.int64)
    last = first + ranges[:, 1].astype(np.int64) - 1
    head = (0xFF << (first & 7)).astype(np.uint8)
    tail = (0xFF >> (7 - (last & 7))).astype(np.uint8)
    first, last = first >> 3, last >> 3
    one = first == last
    np.bitwise_or.at(bits, first, np.where(one, head & tail, head))
    np.bitwise_or.at(bits, last[~one], tail[~one])
    # Whole bytes between: +1 where they begin, -1 where they end, summed up within the window of these ranges.
    low = int(first[0])
    steps = np.zeros(int(last[-1]) - low + 2, dtype=np.int8)
    inner = last - first > 1
    steps[first[inner] + 1 - low] += 1
    steps[last[inner] - low] -= 1
    window = bits[low : int(last[-1]) + 1]
    window[np.cumsum(steps[:-1], dtype=np.int8) > 0] = 0xFF
