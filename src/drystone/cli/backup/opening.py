"""From a destination to the repository: the options that every command of backups has."""

from __future__ import annotations

import contextlib
import functools
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from drystone.base.errors import NotFoundError, RefusedError, UsageError
from drystone.base.sizes import parse_size
from drystone.cli.output import interactive, tell

if TYPE_CHECKING:
    from drystone.backup.format.slot import Credential
    from drystone.backup.repository import Repository
    from drystone.backup.source import Source
    from drystone.backup.tuning import Tuning
    from drystone.store import Store
    from drystone.store.limited import TokenBucket

_FILE = click.Path(path_type=Path)


@dataclass(frozen=True, slots=True)
class Access:
    """How a repository is reached, and what of the machine a run may use: the options of `access_options`.

    :ivar memory: bytes for buffers. :ivar threads: 0 for one more than there are cores.
    :ivar bucket: holds the rate of all stores together; None for no limit.
    :ivar level: zstd's; None for our own choice.
    """

    memory: int
    threads: int
    bucket: TokenBucket | None = None
    passphrase_file: Path | None = None
    key_file: Path | None = None
    level: int | None = None

    def tuning(self) -> Tuning:
        """The limits. :raises UsageError: less memory than a run needs."""
        from drystone.backup.tuning import Tuning

        tuning = Tuning(memory=self.memory, threads=self.threads)
        return tuning if self.level is None else replace(tuning, level=self.level)

    def store(self, dest: str) -> Store:
        """The store at a destination, within the rate. :raises UsageError: a backup's URL. And as `open_store`."""
        from drystone.store import open_store
        from drystone.store.limited import LimitedStore

        if "?backup=" in dest:
            raise UsageError(f"{dest!r} is the URL of a backup", hint=f"name its destination: {dest.partition('?')[0]}")
        store = open_store(dest)
        return store if self.bucket is None else LimitedStore(store, self.bucket)

    def credential(self) -> Credential | None:
        """What the options or the environment give; None: nothing."""
        from drystone.backup.credentials import find_credential

        return find_credential(os.environ, warn, passphrase_file=self.passphrase_file, key_file=self.key_file)


def name_destination(dest: str) -> str:
    """As a backup's URL has it: the whole path of a folder, so that the URL holds in every working directory."""
    from drystone.store.destination import FolderPlace, parse_destination

    place = parse_destination(dest)
    relative = isinstance(place, FolderPlace) and not Path(place.path).is_absolute()
    return str(Path(dest).absolute()) if relative else dest


def warn(line: str) -> None:
    """A warning on stderr; an object `{"warning": ...}` where the command was given --json."""
    context = click.get_current_context(silent=True)
    as_json = context is not None and bool(context.params.get("as_json"))
    tell(json.dumps({"warning": line}) if as_json else f"drystone: warning: {line}")


_OPTIONS = (
    click.option(
        "--threads",
        default=0,
        type=click.IntRange(0, 256),
        metavar="N",
        help="Threads that do the work; 0, the default: one more than there are cores.",
    ),
    click.option(
        "--memory",
        default="96m",
        show_default=True,
        metavar="SIZE",
        help="What buffers may take: 64m, 1g; at least 48m.",
    ),
    click.option(
        "--limit-rate", metavar="SIZE", help="Bytes a second to and from the store at most, all in all: 500k, 10m."
    ),
    click.option(
        "--key-file", type=_FILE, metavar="FILE", help="The key of an encrypted repository: any 32 bytes or more."
    ),
    click.option(
        "--passphrase-file",
        type=_FILE,
        metavar="FILE",
        help="The passphrase of an encrypted repository, in a line. Else DRYSTONE_PASSPHRASE, or "
        "DRYSTONE_PASSPHRASE_FILE, or it is asked for on a terminal.",
    ),
)


def access_options(function: Callable[..., None]) -> Callable[..., None]:
    """The options, handed to the command as one value: the parameter `access`."""

    @functools.wraps(function)
    def call(
        *arguments: object,
        memory: str,
        threads: int,
        limit_rate: str | None,
        passphrase_file: Path | None,
        key_file: Path | None,
        **others: object,
    ) -> None:
        bucket = None if limit_rate is None else _make_bucket(limit_rate)
        access = Access(parse_size(memory), threads, bucket, passphrase_file, key_file)
        function(*arguments, access=access, **others)

    for option in _OPTIONS:
        call = option(call)
    return call


def _make_bucket(rate: str) -> TokenBucket:
    """:raises UsageError: it is no rate."""
    from drystone.store.limited import TokenBucket

    return TokenBucket(parse_size(rate))


def open_destination(dest: str, access: Access) -> Repository:
    """The repository at a destination.

    :raises NotFoundError: there is none. And as `open_repository` and `open_store`.
    """
    repository = _open(dest, access.store(dest), access.credential(), access)
    if repository is None:
        raise NotFoundError(f"there is no repository of backups at {dest}")
    return repository


def make_destination(dest: str, access: Access, *, no_encryption: bool) -> Repository:
    """The repository at a destination; where there is none it is made, encrypted unless `no_encryption`.

    :raises RefusedError: it would have to be made, and there is neither a passphrase nor a key file nor the wish to do
        without. :raises UsageError: there is one of them and that wish, and no repository yet.
    """
    from drystone.backup.credentials import THREE_WAYS
    from drystone.backup.repository import create_repository

    store, credential = access.store(dest), access.credential()
    repository = _open(dest, store, credential, access)
    if repository is not None:
        if not repository.vault.encrypted and (access.passphrase_file or access.key_file):
            warn(f"the repository at {dest} is not encrypted: what was given to open it is of no use")
        return repository
    if credential is not None and no_encryption:
        raise UsageError("a passphrase or a key file was given, and --no-encryption", hint="say one of the two")
    if credential is None and not no_encryption:
        if not can_ask():
            raise RefusedError(
                f"a new repository at {dest} is encrypted, and there is no passphrase",
                hint=f"{THREE_WAYS}; or make it with --no-encryption",
            )
        credential = ask_new_passphrase(dest)
    return create_repository(store, credential, tuning=access.tuning())


def _open(dest: str, store: Store, credential: Credential | None, access: Access) -> Repository | None:
    """The repository that is there; on a terminal its passphrase is asked for if it needs one."""
    from drystone.backup.vault import open_vault, read_document

    try:
        if credential is None and can_ask() and read_document(store).encrypted:
            credential = ask_passphrase(dest)
        # To try a passphrase takes 32 MiB, to work with a repository 30 of libraries: first the one, then the other.
        vault = open_vault(store, credential)
    except NotFoundError:
        return None
    from drystone.backup.repository import Repository

    return Repository(vault, tuning=access.tuning())


@contextlib.contextmanager
def opened_source(path: Path | None) -> Iterator[Source | None]:
    """Within the block, a device or file that has bytes of a backup still can be read; None where none was named."""
    if path is None:
        yield None
        return
    from drystone.backup.source import DeviceSource

    with DeviceSource(path) as opened:
        yield opened


def can_ask() -> bool:
    """Whether there is a terminal to ask at. It need not be standard input, which may be the image."""
    if not interactive():
        return False
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True


def ask_passphrase(what: str) -> Credential:
    """Ask for a passphrase on the terminal, without showing it."""
    from getpass import getpass

    from drystone.backup.credentials import make_passphrase

    return make_passphrase(os.fsencode(getpass(f"Passphrase of {what}: ")), "the terminal")


def ask_new_passphrase(what: str) -> Credential:
    """Ask for a new passphrase, twice. :raises UsageError: the two differ, or it is empty."""
    from getpass import getpass

    from drystone.backup.credentials import make_passphrase

    click.echo("Without the passphrase nobody can restore: keep it where a fire does not reach it.", err=True)
    first = getpass(f"New passphrase of {what}: ")
    if getpass("The same again: ") != first:
        raise UsageError("the two passphrases differ")
    return make_passphrase(os.fsencode(first), "the terminal")
