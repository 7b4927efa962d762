"""Options that the fleet's commands share."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from drystone.cli.output import Function
from drystone.cli.servers import credential_option, servers_option
from drystone.cli.serving import run

if TYPE_CHECKING:
    from drystone.fleet.calls import Mappers

Result = TypeVar("Result")

_SECRET = Path("/etc/drystone/fleet.secret")


def fleet_options(function: Function) -> Function:
    """The options `--mapper` and `--secret`, as the parameters `mappers` and `secret`."""
    secret = credential_option("--secret", default=_SECRET, variable="DRYSTONE_FLEET_SECRET", what="the fleet's secret")
    mappers = servers_option(
        "--mapper", "mappers", default="http://127.0.0.1:8079", variable="DRYSTONE_MAPPER", what="a mapper"
    )
    return mappers(secret(function))


def ask_mapper(
    mappers: tuple[str, ...], secret: Path, action: Callable[[Mappers], Coroutine[Any, Any, Result]]
) -> Result:
    """What `action` returns, given the fleet's mappers."""

    async def act() -> Result:
        from drystone.fleet.calls import Calls, Mappers, read_secret

        async with Calls(read_secret(secret)) as calls:
            return await action(Mappers(calls, tuple(each.rstrip("/") for each in mappers)))

    return run(act())
