"""`drystone cluster api`."""

from __future__ import annotations

from pathlib import Path

import click

from drystone.cli.cluster.serving import announcing, begin, cluster_libraries
from drystone.cli.output import json_option
from drystone.cli.serving import serve


@click.command()
@click.option("--config", type=click.Path(path_type=Path), help="TOML file; flags win over it.")
@click.option("--listen", help="HOST:PORT, port 0 for a free one.  [default: 127.0.0.1:9300]")
@click.option(
    "--database",
    help="sqlite:///PATH, postgresql://... or mariadb://...  [default: sqlite:////var/lib/drystone/cluster/cluster.db]",
)
@click.option(
    "--tokens",
    type=click.Path(path_type=Path),
    help="File of those who may ask: see `drystone cluster token`.  [default: /etc/drystone/cluster-tokens.toml]",
)
@click.option("--queue", help="URL of RabbitMQ or Redis: amqp://..., redis://...  [default: the database]")
@click.option("--certificate", type=click.Path(path_type=Path), help="PEM file, for https.")
@click.option("--key-file", type=click.Path(path_type=Path), help="The certificate's key.")
@click.option("--plain", is_flag=True, default=None, help="Without TLS also where others can reach it.")
@click.option("--debug", is_flag=True, help="Log more.")
@json_option
def api(config: Path | None, debug: bool, as_json: bool, **flags: object) -> None:
    """Run an API server until SIGTERM. It keeps no state: any number may run over one database.

    Tables are made, and brought up to date, when it starts.

    \b
    Examples:
      drystone cluster api --database sqlite:////srv/cluster.db --tokens tokens.toml
      drystone cluster api --config /etc/drystone/cluster-api.toml
    """
    from drystone.cli.cluster.configuration import ApiConfiguration, load_as

    configuration = load_as(ApiConfiguration, config, flags)
    tls = configuration.tls()
    with cluster_libraries():
        from drystone.cluster.api.service import ApiSettings, run_api
        from drystone.cluster.queue.broker import check_url
    begin(debug=debug)
    queue = configuration.queue and check_url(configuration.queue)
    settings = ApiSettings(configuration.listen, configuration.database, configuration.tokens, tls, queue)
    serve(run_api(settings, announcing("API at", "url", as_json=as_json)))
