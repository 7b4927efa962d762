"""From a destination's URL to a store."""

from __future__ import annotations

from drystone.base.errors import UnsupportedError, UsageError
from drystone.store.abc import Store
from drystone.store.folder import FolderStore

_FOLDER = "vfs://"


def open_store(url: str) -> Store:
    """The store at `vfs:///dir` or at the plain path of a folder. Nothing is read or made yet.

    The path is taken as it stands, without percent-decoding.

    :raises UsageError: no destination, or `vfs://` without an absolute path.
    :raises UnsupportedError: a scheme that no store here serves.
    """
    if not url:
        raise UsageError("the destination is empty", hint="name a folder, such as vfs:///srv/backup")
    if url.startswith(_FOLDER):
        path = url.removeprefix(_FOLDER)
        if not path.startswith("/"):
            raise UsageError(f"destination {url!r} has no absolute path", hint="write vfs:///srv/backup, three slashes")
        return FolderStore(path)
    scheme, found, _ = url.partition("://")
    if found:
        raise UnsupportedError(
            f"destinations {scheme}:// are not served by this version",
            hint="use a folder: vfs:///srv/backup",
            scheme=scheme,
        )
    return FolderStore(url)
