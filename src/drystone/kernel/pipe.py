"""A program as a function: bytes in on stdin, bytes out on stdout, its words on stderr let through."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from drystone.base.errors import KernelError, NotFoundError, TimedOutError


class Piped(msgspec.Struct, frozen=True):
    """What came of it: the exit code (negative: the signal that ended it), and both outputs."""

    code: int
    stdout: bytes
    stderr: bytes


def run_piped(words: Sequence[str], stdin: bytes, *, timeout_s: float | None = None, cwd: str | None = None) -> Piped:
    """Run a program, found on PATH, and wait for its end. What it does not read of `stdin` is dropped.

    :param cwd: the folder that it runs in; ours without.
    :raises NotFoundError: there is no such program. :raises KernelError: it cannot be run.
    :raises TimedOutError: it was ended after `timeout_s` seconds.
    """
    import subprocess

    try:
        done = subprocess.run(list(words), input=stdin, capture_output=True, check=False, timeout=timeout_s, cwd=cwd)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise NotFoundError(f"there is no program {words[0]!r}") from error
    except subprocess.TimeoutExpired as error:
        raise TimedOutError(f"{words[0]} took longer than {timeout_s} seconds and was ended") from error
    except OSError as error:
        raise KernelError("run", error.errno or 0, device=words[0]) from error
    return Piped(done.returncode, done.stdout, done.stderr)
