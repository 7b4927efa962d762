"""Callers of the API are given tokens: a table more in the file that its servers read when they start."""

from __future__ import annotations

import json
import os
import secrets
import tomllib
from pathlib import Path

from drystone.base.errors import ExistsError, UsageError
from drystone.base.files import replace_file
from drystone.base.names import check_name
from drystone.cluster.api.tokens import Role, load_tokens

_TOKEN_BYTES = 32


def add_caller(path: Path, name: str, role: Role) -> str:
    """Give `name` a token, in the file at `path`, which is made when there is none; durable when it returns.

    What is in the file stays as it is. Two who do this at once: one of the two tables may be lost.

    :raises ExistsError: it has a caller of that name. :raises UsageError: the file is wrong, or open to everybody.
    """
    check_name(name, "caller")
    text, mode = "", 0o600
    if path.exists() and path.stat().st_size:
        load_tokens(path)
        text, mode = path.read_text(encoding="utf-8"), os.stat(path).st_mode & 0o777  # noqa: PTH116  # of what it leads to
        if name in tomllib.loads(text):
            raise ExistsError(f"{path} has a caller {name!r}", hint="take its table out of the file first")
    token = secrets.token_urlsafe(_TOKEN_BYTES)
    ending = "" if not text or text.endswith("\n") else "\n"
    table = f"[{json.dumps(name)}]\ntoken = {json.dumps(token)}\nrole = {json.dumps(role)}\n"
    try:
        replace_file(path, f"{text}{ending}{table}".encode(), mode=mode)
    except OSError as error:
        raise UsageError(f"token file {path}: {error.strerror or error}") from error
    return token
