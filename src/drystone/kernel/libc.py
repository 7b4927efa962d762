"""The C library's calls that Python does not offer, by ctypes; those of tools that start quickly are in `calls`.

A call through ctypes gives the interpreter's lock up for its whole time. Every function returns the call's answer, or
raises OSError with errno. None retries after a signal (EINTR): what a signal handler raised is raised first, by the
interpreter.
"""

from __future__ import annotations

import ctypes
import os

_LIBC = ctypes.CDLL(None, use_errno=True)
_MOUNT = _LIBC.mount
_MOUNT.argtypes = [ctypes.c_char_p, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_ulong, ctypes.c_char_p]
_UMOUNT2 = _LIBC.umount2
_UMOUNT2.argtypes = [ctypes.c_char_p, ctypes.c_int]
_FALLOCATE = _LIBC.fallocate64
_FALLOCATE.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]
_RENAMEAT2 = _LIBC.renameat2
_RENAMEAT2.argtypes = [ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint]
_SYNC_FILE_RANGE = _LIBC.sync_file_range
_SYNC_FILE_RANGE.argtypes = [ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint]
_AT_FDCWD = -100
_RENAME_NOREPLACE = 1


def _raise_if_failed(answer: int) -> int:
    if answer < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return answer


def _c_text(text: str) -> bytes:
    """`text` for a C function, which would stop at a NUL without a word."""
    data = os.fsencode(text)
    if b"\0" in data:
        raise ValueError(f"{text!r} holds a NUL")
    return data


def mount(source: str, target: str, kind: str, flags: int, data: str) -> None:
    """mount(2). :raises ValueError: a text holds a NUL."""
    texts = [_c_text(each) for each in (source, target, kind)]
    _raise_if_failed(int(_MOUNT(*texts, flags, _c_text(data))))


def umount2(target: str, flags: int) -> None:
    """umount2(2). :raises ValueError: a text holds a NUL."""
    _raise_if_failed(int(_UMOUNT2(_c_text(target), flags)))


def rename_to_free(path: str, target: str) -> None:
    """renameat2(2) with RENAME_NOREPLACE. :raises FileExistsError: something has the name `target`."""
    old, new = _c_text(path), _c_text(target)
    _raise_if_failed(int(_RENAMEAT2(_AT_FDCWD, old, _AT_FDCWD, new, _RENAME_NOREPLACE)))


def fallocate(handle: int, mode: int, offset: int, length: int) -> None:
    """fallocate(2): `mode` of FALLOC_FL_ bits, offset and length in bytes."""
    _raise_if_failed(int(_FALLOCATE(handle, mode, offset, length)))


def sync_file_range(handle: int, offset: int, length: int, flags: int) -> None:
    """sync_file_range(2): `flags` of SYNC_FILE_RANGE_ bits, offset and length in bytes."""
    _raise_if_failed(int(_SYNC_FILE_RANGE(handle, offset, length, flags)))
