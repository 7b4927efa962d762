"""`drystone cluster up`: a whole cluster on this machine."""

from __future__ import annotations

import os
from pathlib import Path

import click

from drystone.cli.cluster.options import Size
from drystone.cli.cluster.serving import cluster_libraries
from drystone.cli.output import json_option, print_line, print_pairs
from drystone.cli.serving import run


@click.command()
@click.option(
    "--root", required=True, type=click.Path(path_type=Path, file_okay=False), help="Folder for everything; made."
)
@click.option("--listen", default="127.0.0.1:9300", show_default=True, help="HOST:PORT of the API.")
@click.option("--dpvs", type=click.IntRange(1, 16), default=3, show_default=True, help="Servers with legs, as files.")
@click.option("--size", type=Size(), default="1g", show_default=True, help="Of each of these files.")
@click.option("--log", "show_log", is_flag=True, help="Show what the servers log, on stderr.")
@json_option
def up(root: Path, listen: str, dpvs: int, size: int, show_log: bool, as_json: bool) -> None:
    """Run an API server, a monitor, and the agents of dpvs and of this host until Ctrl-C, for trying.

    Over SQLite, files and 127.0.0.1; by root, on a kernel with device-mapper, LIO and iSCSI. One line is printed when
    all is ready. What is attached stays so when it ends; started again over the same folder it goes on with it.

    \b
    Example:
      drystone cluster up --root /var/tmp/cluster --json
    """
    from drystone.base.documents import encode
    from drystone.base.errors import UsageError

    with cluster_libraries():
        from drystone.cli.cluster.trial import Trial, run_trial

    if size < 64 << 20:
        raise UsageError("a dpv's file has 64m or more")

    def tell(trial: Trial) -> None:
        if as_json:
            print_line(encode(trial).decode())
        else:
            print_pairs([("api", trial.api), ("token", trial.token), ("dvg", trial.dvg), ("ihost", trial.ihost)])

    os.umask(0o077)  # tokens, secrets and volumes
    run(run_trial(root.absolute(), listen, dpvs, size, tell, show_log=show_log))
