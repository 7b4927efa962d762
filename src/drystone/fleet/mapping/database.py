"""The database as a mapper sees it: a lease with a term, the model, and changes that are made whole or not at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from drystone.fleet.mapping.model import Change, Model


@dataclass(frozen=True, slots=True)
class Lease:
    """Who leads the mappers. :ivar term: grows with every change of the holder. :ivar url: where that is called."""

    term: int
    holder: str
    url: str


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """What was changed, when (seconds since 1970), in which term, and why."""

    at: float
    term: int
    what: str
    subject: str
    why: str


class NotLeadingError(Exception):
    """Another mapper has the lease, or had it since: told to whoever asked as a redirection, not as an error.

    :ivar url: the leader's, "" when there is none.
    """

    def __init__(self, url: str = "") -> None:
        super().__init__(f"this mapper does not lead; {url or 'none'} does")
        self.url = url


class Database(Protocol):
    """Where the model lies. What a method changed is durable when it returns.

    Every method raises UnavailableError when the database does not answer.
    """

    def open(self) -> None:
        """Make the schema or bring it up to date. :raises UnsupportedError: a newer Drystone wrote it."""

    def close(self) -> None: ...

    def take_lease(self, holder: str, url: str, seconds: float) -> Lease:
        """Take the lease when it is free or has run out (the term grows), prolong it when it is ours; who has it then.

        :param seconds: for so long it is ours, from before the call on.
        """

    def release_lease(self, holder: str) -> None:
        """Give it back, when it is ours: the next one need not wait."""

    def raise_term(self, holder: str, term: int) -> None:
        """Have the term be at least `term`. :raises NotLeadingError: the lease is not ours."""

    def load(self) -> Model:
        """Everything."""

    def commit(self, term: int, version: int, changes: Sequence[Change], at: float) -> int:
        """Make the changes and write them into the audit log, in one transaction; the model's new version.

        :param term: the lease must be in this term still. :param version: the model must have this one still: nobody
            else writes, so another means that the database was put back, or that a commit was done that seemed to fail.
        :param at: seconds since 1970, for the audit log.
        :raises NotLeadingError: it is not. :raises MismatchError: the model has another version, a placement another
            epoch, or a host a placement already.
        """

    def audit(self, limit: int) -> list[AuditEntry]:
        """The newest entries first."""
