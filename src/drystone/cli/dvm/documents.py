"""What the tools of `dvm` share and needs no click: how they fail, and how a document is printed."""

from __future__ import annotations

import sys

from drystone.base.documents import encode
from drystone.base.errors import DrystoneError, KernelError, UsageError


def explain(error: DrystoneError, path: str) -> DrystoneError:
    """The failure as a tool tells it: of the class that errno stands for, and with a hint where a document is wrong.

    :param path: the tool's words, `dvm transact read`.
    """
    if isinstance(error, KernelError):
        from drystone.kernel.dm.causes import classed

        return classed(error)
    if isinstance(error, UsageError) and not error.hint:
        hint = f"formats are in docs/reference, the use is in: {path} --help"
        return UsageError(error.message, hint=hint, **error.facts)
    return error


def print_document(document: object) -> None:
    """The one document on stdout.

    :raises OSError: it cannot be written.
    """
    print_bytes(encode(document, indent=2))


def print_bytes(data: bytes) -> None:
    """These bytes and the end of a line on stdout, whatever encoding it is said to have.

    :raises OSError: they cannot be written.
    """
    sys.stdout.flush()
    sys.stdout.buffer.write(data + b"\n")
    sys.stdout.buffer.flush()
