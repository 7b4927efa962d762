"""`drystone volume daemon` and `info`."""

from __future__ import annotations

from pathlib import Path

import click

from drystone.cli.convoy import DAEMON_HELP, daemon_options, start_daemon
from drystone.cli.output import json_option, print_json, print_pairs
from drystone.cli.volume.asking import call, read_object, socket_option


@click.command(help=DAEMON_HELP.replace("convoy daemon", "drystone volume daemon"))
@socket_option
@click.option("--debug", is_flag=True, help="Log more.")
@daemon_options
def daemon(
    socket: str,
    debug: bool,
    log_file: str | None,
    log_format: str,
    root: str,
    drivers: tuple[str, ...],
    driver_opts: tuple[str, ...],
    mounts_dir: str | None,
    with_snapshots: bool,
) -> None:
    """Its help is DAEMON_HELP."""
    start_daemon(
        Path(socket),
        debug=debug,
        log_file=log_file,
        log_format=log_format,
        root=root,
        drivers=drivers,
        driver_opts=driver_opts,
        mounts_dir=mounts_dir,
        with_snapshots=with_snapshots,
    )


@click.command()
@socket_option
@json_option
def info(socket: str, as_json: bool) -> None:
    """Show the daemon and its drivers.

    \b
    Example:
      drystone volume info
    """
    document = read_object(call(socket, "GET", "/info"))
    if as_json:
        print_json(document)
        return
    for section, facts in document.items():
        click.echo(section)
        print_pairs(
            [(f"  {key}", ", ".join(value) if isinstance(value, list) else value) for key, value in facts.items()]
        )
