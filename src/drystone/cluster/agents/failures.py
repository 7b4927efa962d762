"""Several things that are each tried, whatever becomes of the others: the first failure is told at the end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from drystone.base.errors import DrystoneError


class Failures:
    """`first`: of the failures in `kept` blocks; None while there was none."""

    def __init__(self) -> None:
        self.first: DrystoneError | None = None

    @contextmanager
    def kept(self) -> Iterator[None]:
        """A DrystoneError of the block is kept, and raised by `tell`."""
        try:
            yield
        except DrystoneError as error:
            self.first = self.first or error

    def tell(self) -> None:
        """:raises DrystoneError: the first one."""
        if self.first is not None:
            raise self.first
