"""What the settings of all remote stores have in common: endpoints, and words of a request.

No text that was found is repeated in a message where it may be a secret.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from drystone.base.errors import UsageError

LARGEST_FILE = 1 << 20
"""Bytes of a file of settings that are read; more is refused."""


def read_file(path: str | Path) -> bytes:
    """A file of settings.

    :raises UsageError: it is longer than LARGEST_FILE. :raises OSError: it cannot be read. :raises ValueError: no path.
    """
    with Path(path).open("rb") as file:
        data = file.read(LARGEST_FILE + 1)
    if len(data) > LARGEST_FILE:
        raise UsageError(f"{path} is too large to be a file of settings")
    return data


def find_first(environ: Mapping[str, str], names: tuple[str, ...]) -> str:
    """The first of these variables that is set and not empty; else ""."""
    return next((environ[name] for name in names if environ.get(name)), "")


def is_true(text: str) -> bool:
    """Whether a variable's text says yes, as the client library reads it."""
    return text.strip().lower() in {"1", "true", "on", "yes", "y"}


def check_endpoint(text: str, service: str) -> str:
    """`text` without slashes at its end when it is "" or `http[s]://host[:port]`, with a path perhaps.

    :param service: whose endpoint it is, for the message: "S3". :raises UsageError: it is none.
    """
    if not text:
        return ""
    try:
        parts = urlsplit(text)
        fits = parts.scheme in {"http", "https"} and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        fits = False
    if not fits or not text.isascii() or not text.isprintable() or set(' "<>\\^`{|}') & set(text):
        raise UsageError(f"the {service} endpoint is no URL", hint="write https://host or http://host:port")
    if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
        raise UsageError(f"the {service} endpoint holds more than host, port and path", hint="write https://host:port")
    return text.rstrip("/")


def check_words(service: str, **words: str) -> None:
    """They can stand in a request's header; the client library panics where they cannot. Their text is not repeated.

    :raises UsageError: one holds a blank, a line break, or what is not ASCII.
    """
    for name, word in words.items():
        if not word.isascii() or not word.isprintable() or " " in word:
            raise UsageError(
                f"the {service} {name.replace('_', ' ')} that was found holds a blank, a line break or no ASCII",
                hint="see whether something was copied along with it",
            )
