"""From a backup's URL to what can read it: a repository of ours, or a store that Convoy wrote."""

from __future__ import annotations

from typing import TYPE_CHECKING

from drystone.base.errors import NotFoundError
from drystone.cli.backup.opening import Access, open_destination

if TYPE_CHECKING:
    from drystone.backup.convoy.store import ConvoyStore
    from drystone.backup.repository import Repository
    from drystone.backup.url import BackupUrl


def find_backups(dest: str, access: Access) -> Repository | ConvoyStore:
    """What is at a destination. :raises NotFoundError: neither. And as `open_destination`."""
    try:
        return open_destination(dest, access)
    except NotFoundError:
        from drystone.backup.convoy.store import ConvoyStore, is_convoy_store

        store = access.store(dest)
        if not is_convoy_store(store):
            raise
        return ConvoyStore(store, tuning=access.tuning())


def find_backup(text: str, access: Access) -> tuple[Repository | ConvoyStore, BackupUrl]:
    """What a backup's URL leads to, and that URL. :raises UsageError: it is none. And as `find_backups`."""
    from drystone.backup.convoy.url import parse_convoy_url

    url = parse_convoy_url(text)
    return find_backups(url.destination, access), url
