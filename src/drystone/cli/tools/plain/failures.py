"""How a tool says that it failed, in every spelling of its name."""

from __future__ import annotations

from drystone.base.errors import DrystoneError, KernelError, UsageError
from drystone.cli.exits import name_failure
from drystone.cli.output import print_error, tell


def tell_failure(error: DrystoneError | OSError, name: str, *, as_json: bool) -> int:
    """Print a failure as one line `name: ...`, or as a JSON object, if stderr takes it; the tool's exit code."""
    failure = name_failure(error) if isinstance(error, OSError) else error
    if as_json:
        print_error(failure.to_document(), as_json=True)
    else:
        tell(f"{name}: {failure}")
    return 2 if isinstance(failure, UsageError) else 1


def name_file(error: DrystoneError, file: str) -> DrystoneError:
    """The same error with the file before its message; a failed system call has told its device itself."""
    if isinstance(error, KernelError):
        return error
    return type(error)(f"{file}: {error.message}", hint=error.hint, **{**error.facts, "file": file})
