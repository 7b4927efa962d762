"""What the mutators share: a group comes in, a group goes out."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from drystone.base.sizes import parse_size
from drystone.cli.dvm.plain.mutators import read_group
from drystone.cli.dvm.tool import errors_as_json, print_document
from drystone.cli.output import Function

if TYPE_CHECKING:
    from drystone.dvm.groups.group import Group

POLICIES = ("contiguous", "cling", "spread", "anywhere")
DEVICES = "DEVICE is a path, a uuid, or @TAG for all that carry it; without any, all are allowed."


class Size(click.ParamType[int]):
    """A size in bytes, written as `base.sizes.parse_size` reads it."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:  # noqa: ARG002
        return value if isinstance(value, int) else parse_size(value)


SIZE = Size()


def group_options(function: Function) -> Function:
    """Where the group is read from."""
    option = click.option("--group", "file", default="-", metavar="FILE", help="The group document; stdin without.")
    return errors_as_json(option(function))


def seed_option(function: Function) -> Function:
    """How new uuids come about, as the parameter `seed`."""
    text = "New uuids follow from TEXT and are the same at every run, for rehearsals; random without."
    return click.option("--seed", metavar="TEXT", help=text)(function)


def space_options(function: Function) -> Function:
    """Which extents are taken, as the parameters `policy` and `devices`."""
    policy = click.option(
        "--policy",
        type=click.Choice(POLICIES),
        default="anywhere",
        show_default=True,
        help="One run; only devices in use already; evenly; wherever there is room.",
    )
    devices = click.option("--on", "devices", multiple=True, metavar="DEVICE", help="Take extents from it; repeatable.")
    return policy(devices(function))


def tags_option(function: Function) -> Function:
    """Tags of what is new, as the parameter `tags`."""
    return click.option("--tag", "tags", multiple=True, metavar="TAG", help="A tag of the new volume; repeatable.")(
        function
    )


def join_option(function: Function) -> Function:
    """Whether a pool's last transaction is added to, as the parameter `join`."""
    text = "Add to the pool's last transaction, of which nothing was sent yet, instead of beginning another."
    return click.option("--join", is_flag=True, help=text)(function)


def mutate(file: str, change: Callable[[Group], Group]) -> None:
    """Read, change, print."""
    print_document(change(read_group(file)))
