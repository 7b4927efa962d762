"""From an exception to an exit code: the one place where a process of ours ends for a failure.

Imports click only to run its commands.
"""

from __future__ import annotations

import atexit
import contextlib
import errno
import gc
import os
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NoReturn, TextIO

from drystone.base.errors import DrystoneError, ExhaustedError, InternalError, KernelError, NotFoundError
from drystone.cli.output import print_error

if TYPE_CHECKING:
    import click

INTERRUPTED = 130
"""The exit code after Ctrl-C: 128 + SIGINT, as shells count it."""

SIGNALLED = {129: "SIGHUP", 143: "SIGTERM"}
"""The exit codes of a process that a signal had end in an orderly way: 128 + its number, as shells count it."""

BROKEN_PIPE = 141
"""The exit code when the reader of stdout went away: 128 + SIGPIPE, as shells count it."""


def open_standard_streams() -> None:
    """Open on /dev/null those of stdin, stdout and stderr that the caller closed.

    Whatever is opened next would take their numbers, and a line that is printed would be written into a disk.
    """
    while (handle := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(handle, True)
    os.close(handle)
    sys.stdout = sys.stdout or os.fdopen(1, "w", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", closefd=False)


def leave(code: int) -> NoReturn:
    """End the process as sys.exit does, but without the interpreter's last look for garbage: 20 ms with numpy.

    Where nobody asked to be called at the end, and no other thread runs, it ends at once, and what is in memory is not
    taken apart object by object.
    """
    gc.freeze()
    drop_unwritable(sys.stderr)
    watched = sys.getprofile() is not None or sys.gettrace() is not None  # by who says at the end what was seen
    if not watched and not atexit._ncallbacks() and len(sys._current_frames()) == 1:  # noqa: SLF001  # no other way
        drop_unwritable(sys.stdout)
        os._exit(code & 0xFF)
    sys.exit(code)


def invoke(command: click.Command, words: Sequence[str], name: str) -> int:
    """Run a command as click's own `main` does, but let BrokenPipeError through, which that turns into exit code 1.

    :raises BrokenPipeError: the reader of stdout went away; stdout leads nowhere by then.
    """
    import click

    open_standard_streams()
    if name_completion(name) in os.environ:
        command.main(args=list(words), prog_name=name)

    def run_command() -> int:
        try:
            with command.make_context(name, list(words)) as context:
                result = command.invoke(context)
        except click.exceptions.Exit as finished:
            result = finished.exit_code
        return result if isinstance(result, int) else 0

    return finish_output(run_command)


def name_completion(name: str) -> str:
    """The variable of the environment by which a shell asks the program `name` for completions."""
    return f"_{name}_COMPLETE".replace("-", "_").replace(".", "_").upper()


def finish_output(action: Callable[[], int]) -> int:
    """What `action` returns, once all that it printed is written.

    :raises OSError: of the action, or stdout cannot be written; stdout leads nowhere by then.
    """
    try:
        code = action()
        sys.stdout.flush()
    except OSError:
        drop_unwritable(sys.stdout)
        raise
    return code


def drop_unwritable(stream: TextIO) -> None:
    """Let stdout or stderr lead nowhere if what is left in it cannot be written: its reader has gone, a disk is full.

    The interpreter flushes once more at its end; it would complain, and end with 120 instead of our exit code.
    """
    try:
        stream.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def name_failure(error: OSError) -> DrystoneError:
    """A failed system call that nothing below has explained, in the terms of our errors."""
    place = str(error.filename) if error.filename is not None else "the output"
    reason = os.strerror(error.errno) if error.errno else str(error)
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return ExhaustedError(f"{place}: {reason}", hint="make room, then try again", path=place)
    if error.errno == errno.ENOENT:
        return NotFoundError(f"{place}: {reason}", path=place)
    return KernelError("access", error.errno or errno.EIO, device=place)


def run(command: click.Command, arguments: Sequence[str] | None = None, *, name: str = "drystone") -> int:
    """Run a click command; its exit code, and what is printed for errors: see supervise."""
    import click

    words = list(sys.argv[1:] if arguments is None else arguments)

    def run_command() -> int:
        try:
            return invoke(command, words, name)
        except click.ClickException as error:
            if "--json" in _list_own(words):
                print_error({"code": "usage", "message": error.format_message()}, as_json=True)
            else:
                with contextlib.suppress(OSError):
                    error.show()
            return error.exit_code
        except click.Abort as error:
            raise KeyboardInterrupt from error

    return supervise(run_command, words)


def supervise(action: Callable[[], int], words: Sequence[str]) -> int:
    """Run what the command line `words` asks for; the exit code. Errors are printed to stderr, as JSON when `--json`
    was given.

    0 success · a class of drystone.base.errors its own code · 2 wrong arguments · 129, 143 SIGHUP,
    SIGTERM · 130 Ctrl-C · 141 broken pipe.
    """
    own_words = _list_own(words)
    as_json = "--json" in own_words
    try:
        return action()
    except KeyboardInterrupt:
        print_error({"code": "interrupted", "message": "interrupted"}, as_json=as_json)
        return INTERRUPTED
    except SystemExit as ended:
        if ended.code not in SIGNALLED:
            raise
        print_error({"code": "interrupted", "message": f"ended by {SIGNALLED[ended.code]}"}, as_json=as_json)
        return ended.code
    except BrokenPipeError:
        return BROKEN_PIPE
    except DrystoneError as error:
        print_error(error.to_document(), as_json=as_json)
        return error.exit_code
    except OSError as error:
        failure = name_failure(error)
        print_error(failure.to_document(), as_json=as_json)
        return failure.exit_code
    except Exception as error:  # the outermost supervisor: a defect gets its own exit code
        if "--debug" in own_words or os.environ.get("DRYSTONE_DEBUG"):
            raise
        defect = InternalError(f"{type(error).__name__}: {error}", hint="run again with DRYSTONE_DEBUG=1 and report it")
        print_error(defect.to_document(), as_json=as_json)
        return defect.exit_code


def _list_own(words: Sequence[str]) -> Sequence[str]:
    """The words before `--`: those after it belong to another program."""
    return words[: words.index("--")] if "--" in words else words
