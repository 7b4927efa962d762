from __future__ import annotations

import errno
from pathlib import Path

from drystone.base.errors import KernelError
from drystone.kernel.memory import locked_memory


def locked_kib() -> int:
    """KiB of this process that are locked."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmLck"))
    return int(line.split()[1])


def test_memory_is_locked_until_the_last_block_ends() -> None:
    before = locked_kib()
    try:
        with locked_memory():
            assert locked_kib() > before + 1024
            with locked_memory():
                pass
            assert locked_kib() > before + 1024
    except KernelError as error:
        # Without rights and with a small limit the kernel refuses, and nothing stays locked.
        assert error.errno in (errno.ENOMEM, errno.EPERM)  # noqa: PT017  # both outcomes are right, by who runs it
        assert "ulimit" in error.hint
    assert locked_kib() == before
