"""What holds for every command of `drystone`: an example in its help, and JSON for machines."""

from __future__ import annotations

from collections.abc import Iterator

import click
import pytest

from drystone.cli.main import drystone

PASS_THROUGH = {"lab run", "lab exec", "volume daemon", "volume metrics", "completion"}
"""Commands whose output is that of another program, a log, text for Prometheus, or a script for a shell."""


def leaves(command: click.Command, context: click.Context, path: str = "") -> Iterator[tuple[str, click.Command]]:
    """(words after `drystone`, command) of all that are no groups."""
    if not isinstance(command, click.Group):
        yield path, command
        return
    for name in command.list_commands(context):
        child = command.get_command(context, name)
        assert child is not None
        yield from leaves(child, click.Context(child, info_name=name, parent=context), f"{path} {name}".strip())


LEAVES = dict(leaves(drystone, click.Context(drystone, info_name="drystone")))


@pytest.mark.parametrize("path", LEAVES)
def test_the_help_has_an_example(path: str) -> None:
    command = LEAVES[path]
    text = command.get_help(click.Context(command, info_name=f"drystone {path}", terminal_width=100))
    _, found, example = text.partition("Example")
    assert found
    assert path in example


@pytest.mark.parametrize("path", sorted(set(LEAVES) - PASS_THROUGH))
def test_there_is_json(path: str) -> None:
    assert any("--json" in each.opts for each in LEAVES[path].params)


def test_the_exceptions_are_commands() -> None:
    assert set(LEAVES) >= PASS_THROUGH
