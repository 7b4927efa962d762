"""From requests to transactions and back: work in threads, once for each idempotency key, pages of lists."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Any, TypeVar

import msgspec
from litestar import Response
from litestar.openapi import ResponseSpec
from litestar.params import HeaderParameter, PathParameter, QueryParameter
from sqlalchemy import Connection, Table

from drystone.base.errors import NotFoundError, UsageError
from drystone.base.names import check_name
from drystone.cluster.api.application import caller_of
from drystone.cluster.api.documents import Page, Problem
from drystone.cluster.queue.publishing import Counts
from drystone.cluster.state.answers import Answer, claim, fingerprint, keep_answer
from drystone.cluster.state.database import Database, Work
from drystone.cluster.state.pages import find_keys
from drystone.wire.application import AnyRequest, request_id_of

Result = TypeVar("Result")

PRINTABLE = r"^[ -~]*$"
_THREADS = 16

Key = Annotated[
    str | None,
    HeaderParameter(
        name="Idempotency-Key",
        pattern=r"^[!-~]+$",
        max_length=100,
        description="The same request with the same key is done once, and answered the same.",
    ),
]
Named = Annotated[str, PathParameter(description="The name of what is asked for.")]
DryRun = Annotated[
    bool, QueryParameter(name="dry_run", description="Answer with what would be done, and change nothing.")
]  # fmt: skip
Limit = Annotated[int, QueryParameter(name="limit", ge=1, le=1000, description="Of items in a page.")]
After = Annotated[
    str,
    QueryParameter(name="after", max_length=100, pattern=PRINTABLE, description="The `next` of the page before."),
]
Descending = Annotated[bool, QueryParameter(name="descending", description="From the last name to the first.")]
Filter = Annotated[str | None, QueryParameter(max_length=100, pattern=PRINTABLE)]
"""A column must have this value."""


class Desk:
    """What handlers ask. :param database: opened and closed by whoever made it.

    :param queue: what became of hints for a broker, None without one.
    """

    def __init__(self, database: Database, queue: Counts | None = None) -> None:
        self.database = database
        self.queue = queue
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="cluster-api")

    def close(self) -> None:
        """Wait for what is under way."""
        self._threads.shutdown()

    async def read(self, action: Callable[[Connection], Result]) -> Result:
        """What `action` finds in the database."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, self.database.read, action)

    async def write(
        self, request: AnyRequest, key: str | None, data: object, action: Callable[[Work], Answer]
    ) -> Response[Any]:
        """Do `action` in a transaction, or answer what it was answered before with this idempotency key."""
        answer = await self.settle(request, key, data, action)
        media = "application/json" if answer.body else None
        return Response(answer.body.encode(), status_code=answer.status, media_type=media)

    async def settle(
        self, request: AnyRequest, key: str | None, data: object, action: Callable[[Work], Answer]
    ) -> Answer:
        """The same, as a value."""
        caller = caller_of(request)
        print_ = fingerprint(request.method, request.url.path, msgspec.json.encode(data))

        def once(work: Work) -> Answer:
            if key is None:
                return action(work)
            found = claim(work, key, print_)
            if found is not None:
                return found
            made = action(work)
            keep_answer(work, key, made)
            return made

        def change() -> Answer:
            return self.database.change(once, caller=caller, request=request_id_of(request))

        return await asyncio.get_running_loop().run_in_executor(self._threads, change)

    async def rehearse(
        self, request: AnyRequest, action: Callable[[Work], Result]
    ) -> tuple[Result, list[dict[str, str]]]:
        """What `action` would return now, and the events that it would tell; nothing is changed."""
        caller = caller_of(request)
        return await asyncio.get_running_loop().run_in_executor(
            self._threads, lambda: self.database.rehearse(action, caller=caller)
        )

    async def page(
        self,
        table: Table,
        load: Callable[[Connection, Sequence[str]], Sequence[Any]],
        *,
        after: str,
        limit: int,
        descending: bool,
        filters: Mapping[str, str | None],
        key: str = "name",
    ) -> Response[bytes]:
        """A page of a table's rows, in the order of their keys. :param load: values of keys, in the order of those."""

        def find(connection: Connection) -> Page[Any]:
            keys, following = find_keys(
                connection, table, key, filters=filters, after=after, limit=limit, descending=descending
            )
            items = load(connection, keys)
            return Page(tuple(reversed(items)) if descending else tuple(items), following)

        return give(await self.read(find))


def give(document: object, status: int = 200) -> Response[bytes]:
    """A document as an answer."""
    return Response(msgspec.json.encode(document), status_code=status, media_type="application/json")


def told(document: object, status: int) -> Answer:
    """A document as the answer of a write."""
    return Answer(status, msgspec.json.encode(document).decode())


GONE = Answer(204, "")


def known(name: str, what: str) -> str:
    """`name` itself. :raises NotFoundError: nothing can have that name."""
    try:
        return check_name(name, what)
    except UsageError:
        raise NotFoundError(f"there is no {what} {name[:100]!r}") from None


def answers(kinds: Mapping[int, Any], *problems: int) -> dict[int, ResponseSpec]:
    """What a route answers, for the API's description: documents by status, None for an empty body."""
    found = {
        status: ResponseSpec(kind, description="As told.", generate_examples=False) for status, kind in kinds.items()
    }
    for status in (*problems, 401, 503):
        found[status] = ResponseSpec(
            Problem, description="A problem.", media_type="application/problem+json", generate_examples=False
        )
    return found
