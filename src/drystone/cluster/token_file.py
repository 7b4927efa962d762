"""The file with one token: what somebody shows to the API."""

from __future__ import annotations

import stat
from pathlib import Path

from drystone.base.errors import NotFoundError, UsageError

_LONGEST = 4096


def read_token(path: Path) -> str:
    """The token in a file that others cannot read; blanks and line ends around it do not count.

    :raises NotFoundError: there is no such file. :raises UsageError: it is readable by all, or holds no token.
    """
    try:
        with path.open(encoding="utf-8") as file:
            if path.stat().st_mode & stat.S_IRWXO:
                raise UsageError(f"token file {path} is open to everybody", hint=f"chmod o= {path}")
            token = file.read(_LONGEST).strip()
    except FileNotFoundError as error:
        raise NotFoundError(f"there is no token file {path}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"token file {path}: {error}") from error
    if not token.isascii() or not token.isprintable() or not token or " " in token:
        raise UsageError(f"{path} does not hold one token of printable characters")
    return token
