"""What commands read: a file, or standard input for "-"; bounded, so that no device or endless pipe fills memory."""

from __future__ import annotations

import errno
import sys

from drystone.base.errors import KernelError, NotFoundError, UsageError
from drystone.base.sizes import format_size

MOST_INPUT = 64 << 20
"""Bytes that a document or table may have."""


def read_input(file: str, *, most: int = MOST_INPUT, may_be_empty: bool = False) -> bytes:
    """All bytes of `file`, or of standard input.

    :param most: bytes that are taken. :param may_be_empty: nothing at all, or blanks alone, are an answer too.
    :raises NotFoundError: no such file. :raises UsageError: a folder, nothing at all, or more than `most`.
    :raises KernelError: it cannot be read.
    """
    what = name_input(file)
    try:
        if file == "-":
            data = sys.stdin.buffer.read(most + 1)
        else:
            with open(file, "rb") as stream:  # noqa: PTH123  # small tools start without pathlib
                data = stream.read(most + 1)
    except OSError as error:
        if error.errno in {errno.ENOENT, errno.ENOTDIR}:
            raise NotFoundError(f"there is no file {file}", file=file) from error
        if error.errno == errno.EISDIR:
            raise UsageError(f"{file} is a folder, a file was expected", file=file) from error
        raise KernelError("read", error.errno or errno.EIO, device=file) from error
    if len(data) > most:
        raise UsageError(f"{what} is longer than the {format_size(most)} that are read", hint="is it the right file?")
    if not may_be_empty and not data.strip():
        raise UsageError(f"{what} is empty")
    return data


def name_input(file: str) -> str:
    """What to call it in a message."""
    return "stdin" if file == "-" else file
