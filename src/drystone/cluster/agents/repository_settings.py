"""What an ihost's configuration says of a repository of backups."""

from __future__ import annotations

from pathlib import Path

import msgspec


class RepositorySettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One repository; the names are those of the TOML file.

    :ivar url: its destination, such as s3://bucket/path. :ivar endpoint: of an S3 server that is not Amazon's.
    :ivar environment: file of lines NAME=VALUE, in the place of environment variables: the store's credentials.
    :ivar passphrase_file: or :ivar key_file: of an encrypted repository; a new one is encrypted by it.
    """

    url: str
    endpoint: str = ""
    environment: Path | None = None
    passphrase_file: Path | None = None
    key_file: Path | None = None
