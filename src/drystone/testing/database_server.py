"""A database server for tests: in a folder, on a unix socket only, as an unprivileged user."""

from __future__ import annotations

from abc import abstractmethod

from drystone.testing.folder_server import FolderServer


class DatabaseServer(FolderServer):
    """One server, ended by force at the end of the block. :ivar folder: with its data, its log and its socket."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    @abstractmethod
    def make_database(self) -> str:
        """A new, empty database; its URL."""
