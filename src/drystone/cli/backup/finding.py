"""From a backup's URL to what can read it: a repository of ours, or a store that Convoy wrote."""

from __future__ import annotations

from typing import TYPE_CHECKING

from drystone.base.errors import NotFoundError, UsageError
from drystone.cli.backup.opening import Access, open_destination

if TYPE_CHECKING:
    from drystone.backup.convoy.store import ConvoyStore
    from drystone.backup.repository import Repository
    from drystone.backup.url import BackupUrl


def find_backups(dest: str, access: Access) -> list[Repository | ConvoyStore]:
    """What is at a destination: one, or both where we go on where Convoy left off.

    :raises NotFoundError: neither. And as `open_destination`.
    """
    found: list[Repository | ConvoyStore] = []
    none: NotFoundError | None = None
    try:
        found.append(open_destination(dest, access))  # its key is derived before what is imported below
    except NotFoundError as error:
        none = error
    from drystone.backup.convoy.store import ConvoyStore, is_convoy_store

    store = access.store(dest)
    if is_convoy_store(store):
        found.append(ConvoyStore(store, tuning=access.tuning()))
    elif none is not None:
        raise none
    return found


def find_backup(text: str, access: Access) -> tuple[Repository | ConvoyStore, BackupUrl]:
    """What a backup's URL leads to, and that URL. :raises UsageError: it is none. And as `find_backups`."""
    from drystone.backup.convoy.url import parse_convoy_url

    url = parse_convoy_url(text)
    first, *more = find_backups(url.destination, access)
    if more:
        try:
            first.inspect(url.volume, url.backup)
        except (NotFoundError, UsageError):  # a name of Convoy's is no UUID
            return more[0], url
    return first, url
