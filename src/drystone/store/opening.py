"""From a destination's URL to a store."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING

from drystone.base.errors import UnavailableError, UsageError
from drystone.store.abc import Store
from drystone.store.destination import (
    AzurePlace,
    FolderPlace,
    GcsPlace,
    MemoryPlace,
    RemotePlace,
    S3Place,
    parse_destination,
)
from drystone.store.folder import FolderStore

if TYPE_CHECKING:
    from obstore.store import MemoryStore

    from drystone.store.clients import Clients, Patience

_MEMORY: dict[str, MemoryStore] = {}
"""The stores in memory of this process, by name: who opens one again finds what was put."""

_PATIENCE = "DRYSTONE_STORE_PATIENCE"
_LONGEST_PATIENCE = 86_400

_MEMORY_LOCK = threading.Lock()


def open_store(
    url: str, *, endpoint: str = "", environ: Mapping[str, str] | None = None, patience: Patience | None = None
) -> Store:
    """The store at a destination: a folder's path, `vfs:///dir`, `s3://bucket[@region][/path]`, `gs://bucket[/path]`,
    `az://container[/path]`, `memory:[name]`.

    Nothing is sent or made yet; credentials are looked up. The text is taken as it stands, without percent-decoding.

    :param endpoint: URL of an S3 server that is not Amazon's; else the environment's.
    :param environ: where settings and credentials are; the process's own environment by default.
    :param patience: how long a remote store is waited for; by default DRYSTONE_STORE_PATIENCE says how many seconds one
        that answered before is tried again.

    :raises UsageError: no destination, or a wrong one; settings that cannot be used.
    :raises UnsupportedError: a scheme that no store here serves.
    :raises UnavailableError: no credentials, or some that cannot be used.
    """
    place = parse_destination(url)
    if endpoint and not isinstance(place, S3Place):
        raise UsageError(
            "an S3 endpoint was given for a destination that is not in S3", hint="name s3://bucket, or leave it out"
        )
    if isinstance(place, FolderPlace):
        return FolderStore(place.path)
    return _open_remote(place, endpoint, os.environ if environ is None else environ, patience)


def _open_remote(place: RemotePlace, endpoint: str, environ: Mapping[str, str], patience: Patience | None) -> Store:
    # Imported here: whoever only opens folders does not pay for the library.
    from drystone.store.remote import RemoteStore

    patience = patience or _find_patience(environ)
    clients, server = _make_clients(place, endpoint, environ, patience)
    return RemoteStore(
        clients,
        place.prefix,
        place=_name(place, server),
        patience=patience,
        doubted=bool(server),
        copies=isinstance(place, MemoryPlace),
    )


def _make_clients(
    place: RemotePlace, endpoint: str, environ: Mapping[str, str], patience: Patience
) -> tuple[Clients, str]:
    """Clients of a place, and the URL of the server when it is not the cloud's own, else ""."""
    from drystone.store import aws, azure, gcs
    from drystone.store import clients as make

    if isinstance(place, S3Place):
        s3 = aws.find_settings(environ, endpoint=endpoint, region=place.region)
        if not s3.access_key and not s3.asks:
            raise _missing(place, s3.endpoint)
        return make.make_s3(place, s3, patience), s3.endpoint
    if isinstance(place, GcsPlace):
        google = gcs.find_settings(environ)
        return make.make_gcs(place, google, patience), google.endpoint
    if isinstance(place, AzurePlace):
        microsoft = azure.find_settings(environ, account=place.account)
        if not microsoft.account:
            raise _missing(place, microsoft.endpoint)
        return make.make_azure(place, microsoft, patience), microsoft.endpoint
    return make.SharedClient(_find_memory(place)), ""


def _name(place: RemotePlace, server: str) -> str:
    """How messages name a place."""
    return f"{place} ({server})" if server else str(place)


def _missing(place: RemotePlace, server: str) -> UnavailableError:
    from drystone.store.answers import credentials_hint

    hint = credentials_hint(str(place))
    return UnavailableError(f"{_name(place, server)}: no credentials were found", hint=hint)


def _find_patience(environ: Mapping[str, str]) -> Patience:
    from drystone.store.clients import Patience

    text = environ.get(_PATIENCE, "")
    if not text:
        return Patience()
    if not text.isdecimal() or not text.isascii() or len(text) > 9 or int(text) > _LONGEST_PATIENCE:
        raise UsageError(
            f"{_PATIENCE} is {text[:40]!r}",
            hint=f"a number of seconds, 0 to {_LONGEST_PATIENCE}: how long to try again",
        )
    return Patience(again=float(text))


def _find_memory(place: MemoryPlace) -> MemoryStore:
    from obstore.store import MemoryStore

    with _MEMORY_LOCK:
        return _MEMORY.setdefault(place.name, MemoryStore())
