"""`drystone completion`: the shell's completion script, made by click."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

SHELLS = ("bash", "zsh", "fish")


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
def completion(shell: str) -> None:
    """Print the completion script for SHELL.

    \b
    Examples:
      drystone completion bash > /etc/bash_completion.d/drystone
      drystone completion fish > ~/.config/fish/completions/drystone.fish
    """
    from drystone.cli.main import drystone

    kind = get_completion_class(shell)
    assert kind is not None, shell
    click.echo(kind(drystone, {}, "drystone", "_DRYSTONE_COMPLETE").source())
