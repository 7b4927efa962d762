"""System calls in C: answers, errors, and buffers that the kernel writes to. Memory is in test_memory."""

from __future__ import annotations

import errno
import os

import pytest

from drystone.kernel.calls import advise_memory, ioctl_buffer, ioctl_value, lock_memory

FIONREAD, FIOCLEX = 0x541B, 0x5451
"""Linux `include/uapi/asm-generic/ioctls.h`."""


def test_the_kernel_writes_to_the_buffer() -> None:
    reader, writer = os.pipe()
    try:
        os.write(writer, b"abc")
        buffer = bytearray(4)
        assert ioctl_buffer(reader, FIONREAD, buffer) == 0
        assert buffer == (3).to_bytes(4, "little")
    finally:
        os.close(reader)
        os.close(writer)


def test_a_number_in_place_of_a_buffer() -> None:
    handle = os.open("/dev/null", os.O_RDONLY)
    os.set_inheritable(handle, True)
    try:
        assert ioctl_value(handle, FIOCLEX) == 0
        assert not os.get_inheritable(handle)
    finally:
        os.close(handle)


@pytest.mark.parametrize("call", [lambda: ioctl_buffer(-1, FIONREAD, bytearray(4)), lambda: ioctl_value(-1, FIOCLEX)])
def test_what_failed_is_told_by_its_errno(call: object) -> None:
    assert callable(call)
    with pytest.raises(OSError, match="Bad file descriptor") as failure:
        call()
    assert failure.value.errno == errno.EBADF


def test_arguments_that_cannot_be_are_refused() -> None:
    with pytest.raises(TypeError):
        ioctl_buffer(0, FIONREAD, bytes(4))
    with pytest.raises(TypeError):
        lock_memory("all")  # type: ignore[arg-type]  # wrong on purpose
    with pytest.raises(OSError, match="Invalid argument"):
        lock_memory(1 << 20)
    with pytest.raises(OSError, match="Invalid argument"):
        advise_memory(1, 4097, 0)
