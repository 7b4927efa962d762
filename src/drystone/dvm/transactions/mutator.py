"""Mutators: programs that get metadata on stdin and print new metadata."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from drystone.base.errors import DrystoneError, error_classes
from drystone.kernel.pipe import Piped, run_piped


class _Told(msgspec.Struct):
    code: str
    message: str
    hint: str = ""


def run_mutator(
    words: Sequence[str], metadata: bytes, *, run: Callable[[Sequence[str], bytes], Piped] = run_piped
) -> bytes:
    """What the program prints, given `metadata`.

    :param run: runs a program with bytes on its stdin.
    :raises DrystoneError: it failed; of the class that it told as our tools do, with its own words.
    """
    done = run(words, metadata)
    if done.code:
        raise _failure(words, done)
    return done.stdout


def _failure(words: Sequence[str], done: Piped) -> DrystoneError:
    text = done.stderr.decode("utf-8", "backslashreplace").strip()
    last = text.splitlines()[-1] if text else ""
    end = f"signal {-done.code}" if done.code < 0 else f"exit code {done.code}"
    program = " ".join(words)
    try:
        told = msgspec.json.decode(last, type=_Told)
    except msgspec.DecodeError:
        return DrystoneError(
            f"{program} ended with {end}" + (f": {last}" if last else ""), hint="nothing was changed", exit=done.code
        )
    kind = next((each for each in error_classes() if each.code == told.code), DrystoneError)
    if kind.code == "kernel":  # it is built from errno, which its words have already
        kind = DrystoneError
    return kind(f"{program}: {told.message}", hint=told.hint or "nothing was changed", exit=done.code)
