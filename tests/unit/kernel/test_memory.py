from __future__ import annotations

import contextlib
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
    refused: KernelError | None = None
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(locked_memory())
        except KernelError as error:
            # Without rights and with a small limit the kernel refuses.
            refused = error
        else:
            with locked_memory():
                pass
            assert locked_kib() > before + 1024
    if refused is not None:
        assert refused.errno in (errno.ENOMEM, errno.EPERM)
        assert "ulimit" in refused.hint
    assert locked_kib() == before
