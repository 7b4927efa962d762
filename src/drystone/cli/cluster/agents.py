"""`drystone cluster dpv`, `ihost` and `format`."""

from __future__ import annotations

from pathlib import Path

import click

from drystone.cli.cluster.serving import announcing, begin, cluster_libraries
from drystone.cli.output import Function, json_option, print_json, print_line
from drystone.cli.serving import serve

_FILE = click.Path(path_type=Path)


def agent_options(function: Function) -> Function:
    """What agents of both kinds are told."""
    for option in reversed(
        (
            click.option("--config", type=_FILE, help="TOML file; flags win over it."),
            click.option("--folder", type=_FILE, help="For its notes, on a disk: what it was told, with epochs."),
            click.option("--certificate", type=_FILE, help="PEM file, made for servers."),
            click.option("--key-file", type=_FILE, help="The certificate's key."),
            click.option("--clients", type=_FILE, help="PEM of the authority whose clients are let in."),
            click.option("--plain", is_flag=True, default=None, help="Without TLS, on a loopback address only."),
            click.option("--metrics", help="HOST:PORT for Prometheus, plain HTTP.  [default: nowhere]"),
            click.option("--debug", is_flag=True, help="Log more."),
        )
    ):
        function = option(function)
    return function


@click.command()
@click.option("--disk", help="Block device with the legs; see `drystone cluster format`.")
@click.option("--portal", "portals", multiple=True, help="ADDRESS:PORT of its iSCSI targets; several times.")
@click.option("--listen", help="HOST:PORT for the monitor's calls.  [default: 127.0.0.1:9400]")
@agent_options
@json_option
def dpv(config: Path | None, portals: tuple[str, ...], debug: bool, as_json: bool, **flags: object) -> None:
    """Run the agent of a dpv until SIGTERM: it has slices of the disk made, and exported by LIO. What is stays so.

    \b
    Example:
      drystone cluster dpv --config /etc/drystone/dpv.toml
    """
    from drystone.cli.cluster.configuration import DpvConfiguration, load_as

    settings = load_as(DpvConfiguration, config, {**flags, "portals": portals or None})
    tls = settings.tls()
    with cluster_libraries():
        from drystone.cluster.agents.service import DpvSettings, run_dpv_agent
    begin(debug=debug)
    agent = DpvSettings(
        listen=settings.listen, folder=settings.folder, disk=settings.disk, portals=settings.portals, tls=tls,
        plain=settings.plain, metrics=settings.metrics,
    )  # fmt: skip
    serve(run_dpv_agent(agent, announcing("agent of a dpv at", "url", as_json=as_json)))


@click.command()
@click.option("--name", help="Of this ihost, as the cluster calls it.")
@click.option("--api", help="URL of an API server.  [default: http://127.0.0.1:9300]")
@click.option("--token", type=_FILE, help="File with its token.  [default: /etc/drystone/ihost.token]")
@click.option("--authority", type=_FILE, help="PEM of who vouches for the API.  [default: the machine's authorities]")
@click.option("--logs", type=_FILE, help="Folder on a tmpfs, for the logs of mirrors.")
@click.option("--listen", help="HOST:PORT for the monitor's calls.  [default: 127.0.0.1:9401]")
@agent_options
@json_option
def ihost(config: Path | None, debug: bool, as_json: bool, **flags: object) -> None:
    """Run the agent of an ihost until SIGTERM: it has volumes put together out of legs. What is attached stays so.

    \b
    Example:
      drystone cluster ihost --config /etc/drystone/ihost.toml
    """
    from drystone.cli.cluster.configuration import IhostConfiguration, load_as

    settings = load_as(IhostConfiguration, config, flags)
    tls = settings.tls()
    with cluster_libraries():
        from drystone.cluster.agents.service import LOGS, IhostSettings, run_ihost_agent
    begin(debug=debug)
    agent = IhostSettings(
        listen=settings.listen, folder=settings.folder, name=settings.name, api=settings.api, token=settings.token,
        authority=settings.authority, logs=settings.logs or LOGS, tls=tls, plain=settings.plain,
        metrics=settings.metrics, repositories=settings.repositories,
    )  # fmt: skip
    serve(run_ihost_agent(agent, announcing("agent of an ihost at", "url", as_json=as_json)))


@click.command("format")
@click.argument("disk")
@json_option
def format_(disk: str, as_json: bool) -> None:
    """Make DISK, a block device that holds nothing, a dpv's disk. One with anything on it is refused.

    \b
    Example:
      drystone cluster format /dev/sdb
    """
    from drystone.cluster.agents.service import format_disk

    format_disk(disk)
    if as_json:
        print_json({"formatted": disk})
    else:
        print_line(f"{disk} is a dpv's disk now")
