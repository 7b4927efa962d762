"""`drystone fleet up`: a whole fleet on this machine."""

from __future__ import annotations

from pathlib import Path

import click

from drystone.cli.output import json_option, print_line, print_pairs
from drystone.cli.serving import run


@click.command()
@click.option(
    "--root", required=True, type=click.Path(path_type=Path, file_okay=False), help="Folder for everything; made."
)
@click.option("--servers", type=click.IntRange(1, 16), default=2, show_default=True, help="Storage servers.")
@click.option("--disks", type=click.IntRange(1, 64), default=3, show_default=True, help="Folders a server, as disks.")
@click.option("--log", "show_log", is_flag=True, help="Show what the servers log, on stderr.")
@json_option
def up(root: Path, servers: int, disks: int, show_log: bool, as_json: bool) -> None:
    """Run a mapper and storage servers over folders until Ctrl-C, on free ports of 127.0.0.1.

    One line is printed when all is ready: where they are and a key. Started again over the same folder it has the same
    data and the same key.

    \b
    Example:
      drystone fleet up --root /tmp/fleet --json
    """
    from drystone.base.documents import encode
    from drystone.cli.fleet.trial import Trial, run_trial

    def tell(trial: Trial) -> None:
        if as_json:
            print_line(encode(trial).decode())
            return
        print_pairs(
            [
                ("mapper", trial.mapper),
                *(("storage", url) for url in trial.storage),
                ("s3", trial.s3),
                ("access key", trial.access_key),
                ("secret key", trial.secret_key),
            ]
        )

    run(run_trial(root.absolute(), servers, disks, tell, show_log=show_log))
