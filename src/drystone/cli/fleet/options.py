"""Options that the fleet's commands share."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from drystone.cli.output import Function
from drystone.cli.serving import run

if TYPE_CHECKING:
    from drystone.fleet.calls import Mappers

Result = TypeVar("Result")

_CREDENTIALS = Path("/etc/drystone/fleet.secret")


def fleet_options(function: Function) -> Function:
    """The options `--mapper` and `--secret`, as the parameters `mappers` and `secret`."""
    function = click.option(
        "--secret",
        type=click.Path(path_type=Path),
        default=_CREDENTIALS,
        show_default=True,
        envvar="DRYSTONE_FLEET_SECRET",
        show_envvar=True,
        help="File with the fleet's secret.",
    )(function)
    return click.option(
        "--mapper",
        "mappers",
        multiple=True,
        default=("http://127.0.0.1:8079",),
        show_default=True,
        envvar="DRYSTONE_MAPPER",
        show_envvar=True,
        help="URL of a mapper; may be given several times.",
    )(function)


def ask_mapper(
    mappers: tuple[str, ...], secret: Path, action: Callable[[Mappers], Coroutine[Any, Any, Result]]
) -> Result:
    """What `action` returns, given the fleet's mappers."""

    async def act() -> Result:
        from drystone.fleet.calls import Calls, Mappers, read_secret

        async with Calls(read_secret(secret)) as calls:
            return await action(Mappers(calls, tuple(each.rstrip("/") for each in mappers)))

    return run(act())
