"""`drystone completion`: the shell's completion script of one of our commands, made by click."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from drystone.cli.exits import name_completion

SHELLS = ("bash", "zsh", "fish")
COMMANDS = ("drystone", "convoy", "dlvm", "dvm")


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
@click.argument("command", type=click.Choice(COMMANDS), default=COMMANDS[0])
def completion(shell: str, command: str) -> None:
    """Print the completion script for SHELL, of COMMAND: drystone, unless another one is named.

    \b
    Examples:
      drystone completion bash > /etc/bash_completion.d/drystone
      drystone completion bash dvm > /etc/bash_completion.d/dvm
      drystone completion fish > ~/.config/fish/completions/drystone.fish
    """
    kind = get_completion_class(shell)
    assert kind is not None, shell
    click.echo(kind(click.Group(command), {}, command, name_completion(command)).source())
