"""`drystone fleet storage`."""

from __future__ import annotations

from pathlib import Path

import click

from drystone.cli.output import json_option
from drystone.cli.serving import announce, serve, start_log


@click.command()
@click.option("--config", type=click.Path(path_type=Path), help="TOML file; flags win over it.")
@click.option("--id", "id_", help="Of this server in the fleet; never changed.")
@click.option("--listen", help="HOST:PORT, port 0 for a free one.  [default: 127.0.0.1:8080]")
@click.option("--url", help="Where others call this server.  [default: what it listens on]")
@click.option("--mapper", "mappers", multiple=True, help="URL of a mapper; may be given several times.")
@click.option("--root", type=click.Path(path_type=Path), help="Folder with data_1, data_2, ...  [default: /]")
@click.option("--state", type=click.Path(path_type=Path), help="Folder of the map it knew last.")
@click.option("--secret", type=click.Path(path_type=Path), help="File with the fleet's secret.")
@click.option("--certificate", type=click.Path(path_type=Path), help="PEM file, for https.")
@click.option("--key-file", type=click.Path(path_type=Path), help="The certificate's key.")
@click.option("--authority", type=click.Path(path_type=Path), help="PEM file of who is trusted for https.")
@click.option("--legacy", type=click.Choice(["auto", "open", "key"]), help="Who may use the legacy API.")
@click.option("--domain", help="Of S3 requests that name their bucket in the host name.")
@click.option("--copy-rate", type=int, help="Bytes a second of copying, to each disk; 0 is no limit.")
@click.option("--scrub-rate", type=int, help="Bytes a second of reading back, from each disk; 0 for never.")
@click.option("--patience", type=float, help="Seconds that a request waits while leaders change.  [default: 12]")
@click.option("--head-seconds", type=float, help="That a client may take for a request's head.  [default: 60]")
@click.option("--still-seconds", type=float, help="That a body or an answer may stand still.  [default: 30]")
@click.option(
    "--smart",
    type=click.Choice(["drain", "bad", "report", "off"]),
    help="What becomes of a disk that says it fails.  [default: drain]",
)
@click.option("--smart-sectors", type=int, help="Unreadable sectors that a disk may have.  [default: 0]")
@click.option("--smart-seconds", type=float, help="From one question to the next.  [default: 1800]")
@click.option("--smartctl", metavar="PATH", help="The program that asks disks (SMART).  [default: smartctl]")
@click.option("--torrents", metavar="HOST:PORT", help="Exchange copies by BitTorrent too, at this address in numbers.")
@click.option("--debug", is_flag=True, help="Log more.")
@json_option
def storage(
    config: Path | None, id_: str | None, mappers: tuple[str, ...], debug: bool, as_json: bool, **flags: object
) -> None:
    """Run a storage server until SIGTERM: it holds copies on its disks, and serves S3 and the legacy API.

    \b
    Examples:
      drystone fleet storage --id s1 --mapper http://10.0.0.1:8079 --listen 10.0.0.2:8080 --secret fleet.secret
      drystone fleet storage --config /etc/drystone/storage.toml
    """
    from drystone.base.documents import encode
    from drystone.fleet.storage.server import serve as serve_storage
    from drystone.fleet.storage.settings import load_settings

    settings = load_settings(config, {**flags, "id": id_, "mappers": mappers or None})
    start_log(debug=debug)

    def tell(url: str) -> None:
        announce(encode({"url": url}).decode() if as_json else f"storage server {settings.id} at {url}")

    serve(serve_storage(settings, tell))
