"""A command's way: one request, shown instead with `--dry-run`, waited for with `--wait`, and its answer printed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from drystone.base.errors import DrystoneError, TimedOutError, UnavailableError
from drystone.cli.cluster.help import PROGRAM
from drystone.cli.cluster.options import Where, Writing
from drystone.cli.cluster.progress import Progress, printable
from drystone.cli.output import print_json, print_line, print_pairs, print_table, tell

if TYPE_CHECKING:
    from drystone.cluster.client.api import Api, Reply, Request
    from drystone.cluster.client.waiting import Goal

Kind = TypeVar("Kind")


def write(
    where: Where, writing: Writing, request: Request, what: str, *, goal: Goal | None = None, previews: bool = False,
    as_json: bool,
) -> None:  # fmt: skip
    """Ask for a change, and print what came of it.

    :param what: it is about, such as `dpv d1`. :param goal: what can be waited for; with the name "" it is the one
        whose id is answered. :param previews: the API itself can tell what it would do.
    """
    from dataclasses import replace

    from drystone.cluster.client.waiting import Identified, Seen

    if writing.dry_run:
        rehearse(where, request, previews=previews, as_json=as_json)
        return
    api = where.open()
    reply = _send(api, writing, request)
    document = reply.document()
    if goal is not None and not goal.name:
        goal = replace(goal, name=read_as(document, Identified).id)
        what = f"{goal.kind} {goal.name}"
    if goal is not None and writing.waits and document is not None:
        wait_for(api, goal, writing.seconds)
        document = None if goal.wish == "deleted" else api.get(goal.path).document()
    if document is None:
        is_so = "deleted" if goal is None else goal.wish
        if as_json:
            print_json({is_so: what})
        else:
            print_line(f"{what}: {is_so}")
    elif as_json:
        print_json(document)
    else:
        seen = read_as(document, Seen)
        print_line(printable(f"{what}: {', '.join(filter(None, (seen.status, seen.reason))) or 'done'}"))
        if goal is not None and not writing.waits and goal.judge(seen) == "pending":
            tell(f"  wait for it: {spell_wait(goal)}")


def _send(api: Api, writing: Writing, request: Request) -> Reply:
    """The request with a key, which is told when nobody knows whether it was done."""
    from dataclasses import replace

    from drystone.base.names import new_uuid

    key = writing.key or new_uuid()
    again = f"it may have been done; the same command with --key {key} does it once"
    try:
        return api.ask(replace(request, key=key))
    except (UnavailableError, TimedOutError) as error:
        error.hint = f"{error.hint}; {again}" if error.hint else again
        raise
    except KeyboardInterrupt:
        tell(again)
        raise


def wait_for(api: Api, goal: Goal, seconds: float) -> None:
    """Wait, and show how it stands; whoever leaves early is told how to go on. Raises as `waiting.wait`."""
    from drystone.cluster.client.waiting import wait

    progress = Progress()
    try:
        wait(api, goal, progress.show, seconds=seconds)
    except TimedOutError as error:
        error.hint = f"it goes on; wait longer: {spell_wait(goal)}"
        raise
    except KeyboardInterrupt:
        progress.finish()
        tell(f"what was asked for goes on; wait for it again: {spell_wait(goal)}")
        raise
    finally:
        progress.finish()


def spell_wait(goal: Goal) -> str:
    """The command that waits for it."""
    return f"{PROGRAM} wait {goal.kind} {goal.name} {goal.wish}"


def rehearse(where: Where, request: Request, *, previews: bool, as_json: bool) -> None:
    """What `--dry-run` prints: what the API would do, or the request where that is all there is to it."""
    from dataclasses import replace

    if not previews:
        url = where.connect()[0].url + request.target()
        if as_json:
            print_json({"method": request.method, "url": url, "body": request.body})
        else:
            import json

            body = "" if request.body is None else f" {json.dumps(request.body)}"
            print_line(f"{request.method} {url}{body}")
        return
    from drystone.cli.cluster.preview import print_preview

    rehearsal = replace(request, query={**(request.query or {}), "dry_run": True})
    print_preview(where.open().ask(rehearsal), as_json=as_json)


def find_all(where: Where, path: str, query: Mapping[str, object]) -> list[Any]:
    """All items of a list, as they came."""
    pages = where.open().pages(path, query, dict[str, Any])
    return [item for page in pages for item in page.get("items", ())]


def print_list(
    items: Sequence[Any], kind: type[Kind], columns: Sequence[str], row: Callable[[Kind], Sequence[object]], *,
    as_json: bool,
) -> None:  # fmt: skip
    """A list: JSON as it came, or a table of `row` of each item."""
    if as_json:
        print_json(items)
        return
    values = [read_as(item, kind) for item in items]
    print_table(columns, [[printable(str(cell)) for cell in row(value)] for value in values])


def print_one(
    where: Where, path: str, kind: type[Kind], columns: Sequence[str], row: Callable[[Kind], Sequence[object]], *,
    as_json: bool,
) -> None:  # fmt: skip
    """A single thing: JSON as it came, or `row` of it with the names of its columns."""
    found = where.open().get(path).document()
    if as_json:
        print_json(found)
    else:
        cells = [printable(str(cell)) for cell in row(read_as(found, kind))]
        print_pairs(list(zip(columns, cells, strict=True)))


def read_as(item: object, kind: type[Kind]) -> Kind:
    """:raises DrystoneError: it is none."""
    from msgspec import ValidationError, convert

    try:
        return convert(item, kind)
    except ValidationError as error:
        raise DrystoneError(f"the API's answer: {error}", hint="is the API server of the same version?") from error
