"""A Convoy backup's URL: `<destination>?backup=<id>&volume=<id>`, where an id is a UUID or a name."""

from __future__ import annotations

import re

from drystone.backup.convoy.layout import check_id
from drystone.backup.url import BackupUrl
from drystone.base.errors import UsageError

_URL = re.compile(r"(.+)\?backup=([^&?]+)&volume=([^&?]+)", re.DOTALL)


def parse_convoy_url(text: str) -> BackupUrl:
    """:raises UsageError: it is no URL of a backup."""
    match = _URL.fullmatch(text)
    if match is None:
        raise UsageError(f"{text!r} is no URL of a backup", hint="as `backup list` prints it, in quotes")
    return BackupUrl(match[1], check_id(match[2], "backup"), check_id(match[3], "volume"))
