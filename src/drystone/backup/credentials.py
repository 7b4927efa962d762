"""Where the passphrase or key file of an encrypted repository comes from: a file that is named, or the environment.

Never the command line: other users of the machine can see it there.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Mapping
from pathlib import Path

from drystone.backup.format.slot import Credential, KeyFile, Passphrase
from drystone.base.errors import KernelError, NotFoundError, UsageError

PASSPHRASE = "DRYSTONE_PASSPHRASE"  # noqa: S105 - the variable's name
PASSPHRASE_FILE = "DRYSTONE_PASSPHRASE_FILE"  # noqa: S105 - likewise
THREE_WAYS = f"give --passphrase-file FILE, --key-file FILE, or {PASSPHRASE} in the environment"

LONGEST_PASSPHRASE = 4096
"""Bytes."""
LARGEST_KEY_FILE = 1 << 20
"""Bytes."""

Warn = Callable[[str], None]


def find_credential(
    environ: Mapping[str, str], warn: Warn, *, passphrase_file: Path | None = None, key_file: Path | None = None
) -> Credential | None:
    """What was given: a file first, then the environment; None: nothing.

    :param warn: takes a line when a file can be read by others.
    :raises UsageError: two were given, or what was given is none. :raises NotFoundError: there is no such file.
    """
    if passphrase_file is not None and key_file is not None:
        raise UsageError("both a passphrase file and a key file were given", hint="say one of the two")
    if key_file is not None:
        return read_key_file(key_file, warn)
    if passphrase_file is not None:
        return read_passphrase(passphrase_file, warn)
    text, path = environ.get(PASSPHRASE, ""), environ.get(PASSPHRASE_FILE, "")
    if text and path:
        raise UsageError(f"both {PASSPHRASE} and {PASSPHRASE_FILE} are set", hint="unset one of the two")
    if path:
        return read_passphrase(Path(path), warn)
    return make_passphrase(os.fsencode(text), PASSPHRASE) if text else None


def read_passphrase(path: Path, warn: Warn) -> Passphrase:
    """The one line that a file holds, without its line break. :raises UsageError: it holds more, or nothing."""
    return make_passphrase(_read(path, LONGEST_PASSPHRASE + 2, warn), str(path))


def make_passphrase(data: bytes, where: str) -> Passphrase:
    """:raises UsageError: empty, several lines, or too long. The message does not repeat it."""
    text = data.removesuffix(b"\n").removesuffix(b"\r")
    if not text:
        raise UsageError(f"{where} holds no passphrase: it is empty")
    if b"\n" in text or b"\0" in text:
        raise UsageError(f"{where} holds more than one line of text", hint="is it a key file? Then give --key-file")
    if len(text) > LONGEST_PASSPHRASE:
        raise UsageError(f"{where} holds a passphrase of more than {LONGEST_PASSPHRASE} bytes")
    return Passphrase(text)


def read_key_file(path: Path, warn: Warn) -> KeyFile:
    """All bytes of a file. :raises UsageError: fewer than 32, or more than `LARGEST_KEY_FILE`."""
    data = _read(path, LARGEST_KEY_FILE + 1, warn)
    if len(data) > LARGEST_KEY_FILE:
        raise UsageError(f"{path} is too large for a key file: more than {LARGEST_KEY_FILE} bytes")
    try:
        return KeyFile(data)
    except UsageError as error:
        hint = f"make one: head -c 64 /dev/urandom > {path}"
        raise UsageError(f"{path} is no key file: {error.message}", hint=hint) from error


def _read(path: Path, most: int, warn: Warn) -> bytes:
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            data = file.read(most)
    except FileNotFoundError as error:
        raise NotFoundError(f"there is no file {path}") from error
    except IsADirectoryError as error:
        raise UsageError(f"{path} is a folder, a file was expected") from error
    except OSError as error:
        raise KernelError("read", error.errno or 0, device=str(path)) from error
    if stat.S_ISREG(mode) and mode & (stat.S_IRWXG | stat.S_IRWXO):
        warn(f"{path} can be read by others than its owner: chmod 600 {path}")
    return data
