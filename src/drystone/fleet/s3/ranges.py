"""Ranges of bytes: RFC 9110, section 14. One range; several in one header are answered with the whole object."""

from __future__ import annotations

import re

from drystone.fleet.s3.errors import Code, S3Error

_RANGE = re.compile(r"bytes\s*+=\s*+(\d{0,19}+)\s*+-\s*+(\d{0,19}+)\s*+", re.ASCII | re.IGNORECASE)


def resolve_range(header: str, size: int) -> tuple[int, int] | None:
    """The bytes [begin, end) that a Range header asks for, None for all of them (no header, or one not understood).

    :param size: of the object, bytes. :raises S3Error: InvalidRange: none of the object's bytes is in it.
    """
    found = _RANGE.fullmatch(header.strip())
    if found is None or (not found[1] and not found[2]):
        return None
    if not found[1]:
        begin, end = max(0, size - int(found[2])), size
        unsatisfiable = int(found[2]) == 0 or size == 0
    else:
        begin, end = int(found[1]), min(size, int(found[2]) + 1 if found[2] else size)
        if found[2] and int(found[2]) < begin:
            return None
        unsatisfiable = begin >= size
    if unsatisfiable:
        raise S3Error(
            Code.InvalidRange,
            headers={"content-range": f"bytes */{size}"},
            ActualObjectSize=size,
            RangeRequested=header[:80],
        )
    return begin, end


def resolve_copy_range(header: str, size: int) -> tuple[int, int]:
    """The bytes [begin, end) of x-amz-copy-source-range: both ends given, inside of the source.

    :raises S3Error: InvalidArgument, InvalidRange.
    """
    if not header:
        return 0, size
    found = _RANGE.fullmatch(header.strip())
    if found is None or not found[1] or not found[2] or int(found[1]) > int(found[2]):
        raise S3Error(Code.InvalidArgument, "The x-amz-copy-source-range value must be of the form bytes=first-last.")
    if int(found[2]) >= size:
        raise S3Error(Code.InvalidRange, "The range lies outside of the source.")
    return int(found[1]), int(found[2]) + 1


def resolve_part(number: int, parts: tuple[int, ...], size: int) -> tuple[int, int]:
    """The bytes [begin, end) of a part. :param parts: sizes; empty for an object that was put whole (one part).

    :raises S3Error: InvalidPartNumber: there is no such part.
    """
    sizes = parts or (size,)
    if number > len(sizes):
        raise S3Error(Code.InvalidPartNumber, ActualPartCount=len(sizes))
    begin = sum(sizes[: number - 1])
    return begin, begin + sizes[number - 1]
