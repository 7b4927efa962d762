"""What the cluster's servers have in common: their libraries, their log, and the line that says they are ready."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Callable, Iterator

from drystone.base.errors import UnsupportedError
from drystone.cli.serving import announce, start_log


@contextlib.contextmanager
def cluster_libraries() -> Iterator[None]:
    """Import under the block what needs them. :raises UnsupportedError: one is not installed."""
    try:
        yield
    except ImportError as error:
        raise UnsupportedError(f"the cluster needs {error.name}", hint="pip install 'drystone[cluster]'") from error


def begin(*, debug: bool) -> None:
    """Log to stderr, without what Alembic says of its plugins; and have files be ours alone: they hold secrets."""
    os.umask(0o077)
    start_log(debug=debug)
    logging.getLogger("alembic.runtime.plugins").setLevel(logging.WARNING)


def announcing(words: str, name: str, *, as_json: bool) -> Callable[[str], None]:
    """Says that a server is ready, and what it is told: `words` and that, or a JSON object with that as `name`."""
    from drystone.base.documents import encode

    return lambda told: announce(encode({name: told}).decode() if as_json else f"{words} {told}")
