"""`dlvm events` and `dlvm health`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from drystone.base.errors import DrystoneError, UnavailableError
from drystone.cli.cluster.help import PROGRAM, ClusterCommand
from drystone.cli.cluster.options import Where, Words, api_options
from drystone.cli.cluster.progress import printable
from drystone.cli.output import json_option, print_json, print_line, print_table, tell

if TYPE_CHECKING:
    from collections.abc import Iterator

    from drystone.cluster.client.api import Api

_PAUSE = 1.0


@click.command(cls=ClusterCommand)
@click.option("--after", type=click.IntRange(0), default=0, show_default=True, help="Number of the last that is known.")
@click.option("--kind", type=Words(), help="Of such a thing: dlv, dpv, dvg, ihost, job, snapshot.")
@click.option("--subject", type=Words(), help="Of the thing of this name.")
@click.option("--follow", is_flag=True, help="Go on with those that come, until Ctrl-C.")
@api_options
@json_option
def events(where: Where, after: int, kind: str | None, subject: str | None, follow: bool, as_json: bool) -> None:
    """Show what happened, when, and who asked for it. With --json each event is an object on a line of its own.

    \b
    Examples:
      dlvm events --kind dlv --subject db
      dlvm events --after 1700 --follow
    """
    api = where.open()
    last = after
    try:
        while True:
            for event in _find(api, last, kind, subject):
                _print(event, as_json=as_json)
                last = int(event["number"])
            if not follow:
                return
            api.clock.sleep(_PAUSE)
    except (KeyboardInterrupt, DrystoneError):
        if follow:
            tell(f"go on behind these: {PROGRAM} events --after {last} --follow")
        raise


def _find(api: Api, after: int, kind: str | None, subject: str | None) -> Iterator[dict[str, Any]]:
    """All that there are above a number, in order."""
    from drystone.cluster.client.api import PAGE

    while True:
        query = {"after": after, "kind": kind, "subject": subject, "limit": PAGE}
        items = api.get("/events", query).read(dict[str, Any]).get("items", [])
        yield from items
        if len(items) < PAGE:
            return
        after = int(items[-1]["number"])


def _print(event: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        import json

        print_line(json.dumps(event, ensure_ascii=False))
        return
    names = ("number", "at", "caller", "what", "kind", "subject", "text")
    number, at, caller, what, kind, subject, text = (str(event.get(name, "")) for name in names)
    words = f"{number}  {at}  {kind} {subject}: {what}"
    print_line(printable(words + (f", {text}" if text else "") + (f" ({caller})" if caller else "")))


@click.command(cls=ClusterCommand)
@api_options
@json_option
def health(where: Where, as_json: bool) -> None:
    """Ask every API server that was named whether it and its database answer. Exit code 6 when one does not.

    \b
    Example:
      dlvm health --api https://a:9300 --api https://b:9300
    """
    from drystone.cluster.client.api import Api

    found: list[tuple[str, str]] = []
    failure: DrystoneError | None = None
    for server in where.connect():
        try:
            reply = Api([server], "", patience=0).get("/health")
            found.append((server.url, f"database {reply.read(dict[str, str]).get('database', '?')}"))
        except DrystoneError as error:
            failure = error
            found.append((server.url, error.message))
    if as_json:
        print_json([{"api": url, "state": state} for url, state in found])
    else:
        print_table(("api", "state"), [(url, printable(state)) for url, state in found])
    if failure is not None:
        raise UnavailableError("not all API servers answer", hint=failure.message)
