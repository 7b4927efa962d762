"""`drystone fleet mapper`."""

from __future__ import annotations

from pathlib import Path

import click

from drystone.cli.output import json_option
from drystone.cli.serving import announce, serve, start_log


@click.command()
@click.option("--config", type=click.Path(path_type=Path), help="TOML file; flags win over it.")
@click.option("--listen", help="HOST:PORT, port 0 for a free one.  [default: 127.0.0.1:8079]")
@click.option("--url", help="Where others call this mapper.  [default: what it listens on]")
@click.option("--database", help="sqlite:///PATH or postgresql://...")
@click.option("--secret", type=click.Path(path_type=Path), help="File with the fleet's secret.")
@click.option("--server", "servers", multiple=True, help="Id of a storage server of the fleet; several times.")
@click.option("--policy", type=click.Choice(["exclusive", "shared"]), help="Of buckets that S3 makes.")
@click.option("--legacy", type=click.Choice(["auto", "open", "key"]), help="Who may use the legacy API.")
@click.option("--certificate", type=click.Path(path_type=Path), help="PEM file, for https.")
@click.option("--key-file", type=click.Path(path_type=Path), help="The certificate's key.")
@click.option("--dead", type=float, help="Seconds without a heartbeat until a server is dead.  [default: 6]")
@click.option("--replace", type=float, help="Seconds until a dead server's copies are made anew.  [default: 30]")
@click.option("--leftover", type=float, help="Seconds until data that is no copy any more is deleted.  [default: 3600]")
@click.option("--forgotten", type=float, help="Seconds until a forgotten host's data is deleted.  [default: 604800]")
@click.option(
    "--drill", type=float, help="Seconds from a host's restore drill to its next; 0: never.  [default: 86400]"
)
@click.option("--drill-objects", type=int, help="Newest objects that a restore drill reads.  [default: 10]")
@click.option(
    "--audit-days", type=float, help="That an audit entry stays in the database; 0: for ever.  [default: 365]"
)
@click.option("--audit-entries", type=int, help="That stay there; 0: any number.  [default: 1000000]")
@click.option("--audit-folder", type=click.Path(path_type=Path), help="Where older ones go, as files.")
@click.option(
    "--recover",
    is_flag=True,
    default=None,
    help="The database was put back to an older state: ask the disks first. For one start.",
)
@click.option("--debug", is_flag=True, help="Log more.")
@json_option
def mapper(config: Path | None, servers: tuple[str, ...], debug: bool, as_json: bool, **flags: object) -> None:
    """Run a mapper until SIGTERM: it says which server keeps what, and what happens when one dies.

    Several may run on one database; one of them leads.

    \b
    Examples:
      drystone fleet mapper --secret fleet.secret --database sqlite:////srv/mapper/map.db
      drystone fleet mapper --config /etc/drystone/mapper.toml
    """
    from drystone.base.documents import encode
    from drystone.fleet.mapping.service import run_mapper
    from drystone.fleet.mapping.settings import load_settings

    settings = load_settings(config, {**flags, "servers": servers or None})
    start_log(debug=debug)

    def tell(url: str) -> None:
        announce(encode({"url": url}).decode() if as_json else f"mapper at {url}")

    serve(run_mapper(settings, tell))
