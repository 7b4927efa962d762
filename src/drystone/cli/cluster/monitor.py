"""`drystone cluster monitor`."""

from __future__ import annotations

from pathlib import Path

import click

from drystone.cli.cluster.serving import announcing, begin, cluster_libraries
from drystone.cli.output import json_option
from drystone.cli.serving import serve

_FILE = click.Path(path_type=Path)


@click.command()
@click.option("--config", type=_FILE, help="TOML file; flags win over it.")
@click.option("--database", help="The API's.  [default: sqlite:////var/lib/drystone/cluster/cluster.db]")
@click.option("--queue", help="The API's, RabbitMQ or Redis.  [default: the database]")
@click.option("--name", help="Among monitors.  [default: host and process]")
@click.option("--certificate", type=_FILE, help="PEM file, made for clients, which agents ask for.")
@click.option("--key-file", type=_FILE, help="The certificate's key.")
@click.option("--authority", type=_FILE, help="PEM of who vouches for agents.")
@click.option("--pause", type=float, help="Seconds between two rounds.  [default: 1]")
@click.option("--patience", type=int, help="Rounds that a host may be silent for.  [default: 10]")
@click.option("--metrics", help="HOST:PORT for Prometheus, plain HTTP.  [default: nowhere]")
@click.option("--debug", is_flag=True, help="Log more.")
@json_option
def monitor(config: Path | None, debug: bool, as_json: bool, **flags: object) -> None:
    """Run a monitor until SIGTERM: it has agents do what was asked for, and sees to what fails.

    Several may run over one database.

    \b
    Example:
      drystone cluster monitor --config /etc/drystone/cluster-monitor.toml
    """
    from drystone.cli.cluster.configuration import MonitorConfiguration, load_as

    settings = load_as(MonitorConfiguration, config, flags)
    settings.check()
    tls = settings.tls()
    with cluster_libraries():
        from drystone.cluster.monitor.service import MonitorSettings, run_monitor
        from drystone.cluster.queue.broker import check_url
    begin(debug=debug)
    told = MonitorSettings(
        database=settings.database,
        queue=settings.queue and check_url(settings.queue),
        name=settings.name,
        tls=tls,
        pause=settings.pause,
        patience=settings.patience,
        metrics=settings.metrics,
    )
    serve(run_monitor(told, announcing("monitor", "name", as_json=as_json)))
