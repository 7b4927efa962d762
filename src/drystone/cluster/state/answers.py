"""Requests that are made once however often they are sent: idempotency keys and what was answered to them.

The answer is written in the transaction of the change, so that there is one with the other or neither.
"""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import delete, func, insert, select, update

from drystone.base.clock import format_instant
from drystone.base.errors import MismatchError
from drystone.cluster.state import schema
from drystone.cluster.state.database import Work

KEPT = timedelta(days=7)
"""How long a key is kept at least, by the clocks of those who answered."""


class Answer(NamedTuple):
    """What a request was answered. :ivar body: JSON text, "" for none."""

    status: int
    body: str


def fingerprint(method: str, path: str, body: bytes) -> str:
    """What tells a request from another one with the same key."""
    digest = hashlib.sha256()
    for part in (method.encode(), path.encode(), body):
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()


def claim(work: Work, key: str, request: str) -> Answer | None:
    """The answer that the caller has had to its request with `key`; None: it is the first, and others wait for its end.

    The row is written before anything else is looked at: an equal request at the same time stops there until this
    transaction has ended, and then finds its answer, or is the first.

    :raises MismatchError: the key was used for another request.
    :raises sqlalchemy.exc.IntegrityError: an equal request was faster; once this is done anew, its answer is found.
    """
    table = schema.answers
    query = select(table).where(table.c.caller == work.caller, table.c.key == key)
    row = work.connection.execute(query).one_or_none()
    if row is None:
        first = {"caller": work.caller, "key": key, "fingerprint": request, "status": 0, "body": "", "at": work.at}
        work.connection.execute(insert(table).values(**first))
        return None
    if row.fingerprint != request:
        raise MismatchError(
            f"idempotency key {key!r} was used for another request", hint="every request has a key of its own"
        )
    return Answer(row.status, row.body)


def keep_answer(work: Work, key: str, answer: Answer) -> None:
    """Note what is answered to a request whose key was claimed."""
    table = schema.answers
    mine = (table.c.caller == work.caller, table.c.key == key)
    work.connection.execute(update(table).where(*mine).values(status=answer.status, body=answer.body))


def forget_answers(work: Work) -> int:
    """Drop the keys that are older than the newest one by more than `KEPT`; how many.

    The age is the distance to another answer, so that where nobody asks nothing is forgotten.
    """
    table = schema.answers
    newest = work.connection.execute(select(func.max(table.c.at))).scalar()
    if newest is None:
        return 0
    until = format_instant(datetime.fromisoformat(newest) - KEPT)
    return work.connection.execute(delete(table).where(table.c.at < until)).rowcount
