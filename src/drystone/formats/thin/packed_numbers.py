"""Numbers as thin_metadata_pack 1.x writes them: as a first number and the steps to the next ones.

A code is one byte, its high half the operation and its low half an argument n; numbers in it are little-endian.

    0n x      the number x of n bytes (1, 2, 4, 8)          5n        the same number n times more
    1n        n more than before                            6n b      the same, n * 256 + b times
    2n x      x more, x of n bytes                          7n code   that step n times
    3n        n less than before                            8n b code that step n * 256 + b times
    4n x      x less, x of n bytes

Established by packing and unpacking with thin-provisioning-tools 1.1.0; docs/reference/thin-pack.md has it in full.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from drystone.base.errors import DamagedError

SET, MORE, MORE_WIDE, LESS, LESS_WIDE, SAME, SAME_WIDE, TIMES, TIMES_WIDE = range(9)

_MASK = (1 << 64) - 1
_WIDTHS = (1, 2, 4, 8)

Numbers = NDArray[np.uint64]


def encode_rows(rows: Numbers) -> list[bytes]:
    """The code of each row of `rows`, shape (n, m), m from 1 to 4095."""
    height, width = rows.shape
    before = np.concatenate((rows[:, :1], rows[:, :-1]), axis=1)
    less = rows < before
    steps = np.where(less, before - rows, rows - before)
    begins = np.ones(rows.shape, dtype=np.bool_)
    begins[:, 2:] = (steps[:, 2:] != steps[:, 1:-1]) | (less[:, 2:] != less[:, 1:-1])
    flat = np.flatnonzero(begins)
    lengths = np.diff(np.append(flat, height * width))
    first = flat % width == 0
    values = np.where(first, rows.reshape(-1)[flat], steps.reshape(-1)[flat])
    matrix, used = _lay_out(values, lengths, first=first, less=less.reshape(-1)[flat])
    data = matrix[used].tobytes()
    ends = np.cumsum(used.sum(axis=1))[np.append(np.flatnonzero(first)[1:], len(flat)) - 1].tolist()
    return [data[begin:end] for begin, end in zip([0, *ends[:-1]], ends, strict=True)]


def _lay_out(
    values: Numbers, lengths: NDArray[np.int64], *, first: NDArray[np.bool_], less: NDArray[np.bool_]
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Bytes of the runs, a row each: two for how often, the code, eight for a number; and which of them are used."""
    matrix = np.zeros((len(values), 11), dtype=np.uint8)
    used = np.zeros(matrix.shape, dtype=np.bool_)
    used[:, 2] = True
    same = ~first & (values == 0)
    many = ~first & ~same & (lengths > 1)
    wide_many = many & (lengths > 15)
    high, low = (lengths >> 8).astype(np.uint8), (lengths & 0xFF).astype(np.uint8)
    matrix[:, 0] = np.where(wide_many, TIMES_WIDE << 4 | high, TIMES << 4 | (low & 15))
    matrix[:, 1] = low
    used[:, 0], used[:, 1] = many, wide_many
    widths = np.ones(len(values), dtype=np.uint8)
    for width in (2, 4, 8):
        widths[values >= np.uint64(1 << (4 * width))] = width
    small = ~first & (values < 16)
    wide_same = same & (lengths > 15)
    code = np.where(less, LESS << 4, MORE << 4).astype(np.uint8)
    matrix[:, 2] = np.where(small, code | (values & np.uint64(15)).astype(np.uint8), code + 16 + widths)
    matrix[first, 2] = SET << 4 | widths[first]
    matrix[same, 2] = np.where(lengths[same] > 15, SAME_WIDE << 4 | high[same], SAME << 4 | (low[same] & 15))
    matrix[:, 3:] = values.astype("<u8").view(np.uint8).reshape(-1, 8)
    matrix[wide_same, 3] = low[wide_same]
    sized = np.where(small | same, 0, widths)
    sized[wide_same] = 1
    used[:, 3:] = np.arange(8) < sized[:, None]
    return matrix, used


def decode_numbers(code: bytes, at: int, count: int) -> tuple[list[int], int]:
    """`count` numbers out of the code at byte `at`, and where the code goes on.

    :raises DamagedError: it is no such code, or does not end with the last number.
    """
    numbers: list[int] = []
    last = 0
    try:
        while len(numbers) < count:
            last, at = decode_step(code, at, last, numbers)
    except IndexError as error:
        raise DamagedError("packed numbers end too early", what="packed numbers", expected=count) from error
    if len(numbers) != count:
        raise DamagedError(
            f"there are {len(numbers)} packed numbers, expected {count}", expected=count, found=len(numbers)
        )
    return numbers, at


def decode_step(code: bytes, at: int, last: int, numbers: list[int]) -> tuple[int, int]:
    """Append what the code at byte `at` says to `numbers`; the last number, and where the code goes on.

    :raises IndexError: the code ends within it. :raises DamagedError: it is no code for numbers.
    """
    byte = code[at]
    operation, low = byte >> 4, byte & 15
    at += 1
    times = 1
    if operation in (TIMES, TIMES_WIDE):
        times = low
        if operation == TIMES_WIDE:
            times = low << 8 | code[at]
            at += 1
        byte = code[at]
        operation, low = byte >> 4, byte & 15
        at += 1
        if not MORE <= operation <= LESS_WIDE:
            raise DamagedError(f"packed code {byte:#04x} is no step to repeat", what="packed code", found=byte)
    if operation in (MORE, LESS):
        step = low
    elif operation in (SET, MORE_WIDE, LESS_WIDE):
        if low not in _WIDTHS:
            raise DamagedError(f"packed number of {low} bytes, expected 1, 2, 4 or 8", what="packed code", found=byte)
        code[at + low - 1]
        step = int.from_bytes(code[at : at + low], "little")
        at += low
        if operation == SET:
            numbers.append(step)
            return step, at
    elif operation in (SAME, SAME_WIDE):
        if operation == SAME_WIDE:
            low = low << 8 | code[at]
            at += 1
        numbers.extend([last] * low)
        return last, at
    else:
        raise DamagedError(f"packed code {byte:#04x} is not known", what="packed code", found=byte)
    if operation in (LESS, LESS_WIDE):
        step = -step
    for _ in range(times):
        last = last + step & _MASK
        numbers.append(last)
    return last, at
