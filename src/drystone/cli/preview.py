"""`--dry-run`: what the daemon says that it would do, for people and for machines."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import click

from drystone.base.errors import DrystoneError, UsageError
from drystone.cli.output import Function, print_json
from drystone.wire.client import Answer

if TYPE_CHECKING:
    from drystone.volumes.documents import PreviewDocument


def dry_run_option(function: Function) -> Function:
    """The flag `--dry-run`."""
    return click.option(
        "--dry-run",
        is_flag=True,
        help="Print what would be done; change nothing. With --json an array of objects: title, words (the steps), "
        "program (what `dvm dmexec` takes, or null).",
    )(function)


def print_previews(answers: Iterable[Answer], *, as_json: bool) -> None:
    """Answers to requests with `DryRun`: as text, each as it comes, or all in one JSON array."""
    import msgspec

    found: list[PreviewDocument] = []
    for answer in answers:
        previews = _read(answer)
        found += previews
        if not as_json:
            click.echo("".join(render_preview(each) for each in previews), nl=False)
    if as_json:
        print_json(msgspec.to_builtins(found))


def render_preview(preview: PreviewDocument) -> str:
    """Its title and words as comments, then the program in its text form: all of it is what `dvm dmexec` takes.

    :raises UsageError: the program is of another version.
    """
    from drystone.base.documents import encode
    from drystone.dvm.program import parse_program
    from drystone.dvm.text import render_text

    lines = [preview.title, *preview.words] if preview.title else preview.words
    comments = "".join(f"# {line}\n" for line in lines)
    return comments + (render_text(parse_program(encode(preview.program))) if preview.program is not None else "")


def _read(answer: Answer) -> list[PreviewDocument]:
    """:raises DrystoneError: the answer is something else."""
    from drystone.base.documents import decode
    from drystone.volumes.documents import PreviewDocument

    try:
        return decode(answer.text, list[PreviewDocument], "the daemon's answer")
    except UsageError as error:
        raise DrystoneError(error.message, hint="is the daemon of the same version?") from error
