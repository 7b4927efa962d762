"""Commands that change device-mapper by programs: shown with --dry-run, run otherwise."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from drystone.base.errors import KernelError
from drystone.cli.output import print_json

if TYPE_CHECKING:
    from drystone.dvm.program import Program
    from drystone.dvm.result import Result
    from drystone.kernel.dm.abc import DeviceMapper


class ProgramCommand(click.Command):
    """A command whose failures have the class that errno stands for."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run it."""
        try:
            return super().invoke(ctx)
        except KernelError as error:
            from drystone.kernel.dm.causes import classed

            raise classed(error) from error


def device_mapper(ctx: click.Context) -> DeviceMapper:
    """The kernel's device-mapper, or the one that the caller put into the context."""
    if ctx.obj is None:
        from drystone.kernel.dm.device_mapper import KernelDeviceMapper

        mapper = KernelDeviceMapper()
        ctx.call_on_close(mapper.close)
        ctx.obj = mapper
    found: DeviceMapper = ctx.obj
    return found


def run_program(dm: DeviceMapper, program: Program) -> Result:
    """Run it. Only the kernel's device-mapper holds back this machine's disks."""
    from contextlib import nullcontext

    from drystone.dvm.dmexec import execute
    from drystone.kernel.dm.device_mapper import KernelDeviceMapper

    if isinstance(dm, KernelDeviceMapper):
        return execute(program, dm)
    return execute(program, dm, memory=nullcontext)


def print_plan(
    title: str, programs: Sequence[Program], *, before: Sequence[str] = (), after: Sequence[str] = (), as_json: bool
) -> None:
    """What --dry-run shows: the steps in words and the programs, in the form that `print_previews` has.

    :param before, after: lines of what is to be known first, and of what is done after the programs.
    """
    import msgspec

    from drystone.cli.preview import render_preview
    from drystone.dvm.describe import describe
    from drystone.volumes.documents import PreviewDocument

    previews = []
    for at, program in enumerate(programs):
        words = [*(before if at == 0 else ()), *describe(program), *(after if at == len(programs) - 1 else ())]
        name = title if len(programs) == 1 else f"{title} ({at + 1} of {len(programs)})"
        previews.append(PreviewDocument(name, tuple(words), msgspec.to_builtins(program)))
    if as_json:
        print_json(msgspec.to_builtins(previews))
    else:
        click.echo("".join(render_preview(each) for each in previews), nl=False)
