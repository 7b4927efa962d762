"""Damage on its way to the disk: a new file, never a file that was there."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from drystone.base.errors import ExistsError
from drystone.base.files import sync_folder, write_all
from drystone.formats.pdata.blocks import BLOCK
from drystone.kernel.blockdev import BlockDevice
from drystone.testing.damage.table import Plan

_AT_ONCE = 1 << 20


def write_damaged(device: BlockDevice, plan: Plan, output: Path) -> None:
    """Write what `plan` makes of `device` to `output`. Durable when it returns; no file is left when it fails.

    :raises ExistsError: there is something at `output`; it is not touched. :raises OSError: it cannot be written.
    """
    try:
        handle = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError as error:
        raise ExistsError(f"{output} is there already", hint="damage is only written to a new file") from error
    try:
        try:
            for begin in range(0, plan.size, _AT_ONCE):
                write_all(handle, device.pread(begin, min(_AT_ONCE, plan.size - begin)))
            for number, content in plan.blocks.items():
                kept = content[: max(0, plan.size - number * BLOCK)]
                os.pwrite(handle, kept, number * BLOCK)
            os.fsync(handle)
        finally:
            os.close(handle)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            output.unlink()
        raise
    sync_folder(output.absolute().parent)
