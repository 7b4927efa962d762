"""`drystone backup`: back up devices and files, list, restore, verify, delete."""

from __future__ import annotations

import contextlib
import json
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from drystone.base.errors import DamagedError, MismatchError, NotFoundError, RefusedError
from drystone.base.sizes import format_size, parse_size
from drystone.cli.output import interactive, json_option, print_json, print_pairs, print_table

if TYPE_CHECKING:
    from drystone.backup.repository import BackupInfo, Repository

_SOURCES = uuid.UUID("5b0a3b7e-4a0f-5d8e-9c55-2d7f0f6a1c11")
"""The name space of volume UUIDs that are made from a source's name (RFC 9562, version 5)."""

_EVERY = 0.5
"""Seconds between two progress lines of --json."""


@click.group()
def backup() -> None:
    """Backups of devices and files: full, incremental, restore.

    \b
    Examples:
      drystone backup create disk.img --dest vfs:///srv/backup --no-encryption
      drystone backup list vfs:///srv/backup
      drystone backup restore 'vfs:///srv/backup?backup=...&volume=...' restored.img
    """


def _memory_option(function: Callable[..., None]) -> Callable[..., None]:
    return click.option(
        "--memory", default="256m", show_default=True, metavar="SIZE", help="What buffers may take, such as 64m or 1g."
    )(function)


@backup.command()
@click.argument("source", type=click.Path(path_type=Path))
@click.option("--dest", required=True, metavar="URL", help="Where to: vfs:///dir or the path of a folder.")
@click.option("--base", metavar="URL", help="The backup to build upon; otherwise the newest of this source, if any.")
@click.option("--name", help="What the source is called; otherwise its path. Backups of one name belong together.")
@click.option("--no-encryption", is_flag=True, help="Say it when the repository is made: it is not encrypted.")
@_memory_option
@json_option
def create(
    source: Path, dest: str, base: str | None, name: str | None, *, no_encryption: bool, memory: str, as_json: bool
) -> None:
    """Back up a device or an image file, and print the backup's URL.

    All of SOURCE is read; chunks that the base has are not stored again, so an incremental costs what has changed.
    """
    from drystone.backup.repository import BackupRequest
    from drystone.backup.source import DeviceSource
    from drystone.backup.url import BackupUrl

    with DeviceSource(source) as opened:
        repository = _open(dest, memory, may_create=True, no_encryption=no_encryption)
        known = name or str(source.absolute())
        volume, base_backup = _find_base(repository, known, base, dest)
        request = BackupRequest(volume=volume, source_name=known, base=base_backup)
        with _progress("backup", as_json=as_json) as progress:
            made = repository.create(opened, request, progress=progress)
    url = str(BackupUrl(dest, made.backup, made.volume))
    if as_json:
        print_json(_document(url, made))
    else:
        click.echo(url)


def _find_base(repository: Repository, known: str, base: str | None, dest: str) -> tuple[str, str]:
    """(volume, base backup or ""): those of the URL that was given, or what is known of the source."""
    from drystone.backup.url import parse_backup_url

    if base is not None:
        url = parse_backup_url(base)
        if url.destination != dest:
            raise MismatchError(f"the base is at {url.destination!r} and the new backup would be at {dest!r}")
        return url.volume, repository.inspect(url.volume, url.backup).backup
    volume = str(uuid.uuid5(_SOURCES, known))
    earlier = repository.list(volume, damaged=lambda _error: None)
    return volume, earlier[-1].backup if earlier else ""


@backup.command("list")
@click.argument("dest")
@json_option
def list_(dest: str, *, as_json: bool) -> None:
    """List the backups at DEST, oldest first. Those whose manifest is damaged are told at the end, as errors."""
    from drystone.backup.url import BackupUrl

    damaged: list[DamagedError] = []
    backups = _open(dest).list(damaged=damaged.append)
    found = [(str(BackupUrl(dest, each.backup, each.volume)), each) for each in backups]
    if as_json:
        print_json([_document(url, each) for url, each in found])
    else:
        rows = [
            (each.created, each.source, format_size(each.size), format_size(each.stored), url) for url, each in found
        ]
        print_table(("created", "source", "size", "stored", "url"), rows)
    if damaged:
        more = f", and {len(damaged) - 1} more manifests are damaged" if len(damaged) > 1 else ""
        raise DamagedError(f"{damaged[0].message}{more}", hint="the backup can be deleted by its URL")


@backup.command()
@click.argument("url")
@json_option
def show(url: str, *, as_json: bool) -> None:
    """Show what is known of a backup."""
    repository, volume, name = _locate(url)
    document = _document(url, repository.inspect(volume, name))
    if as_json:
        print_json(document)
        return
    for key in ("size", "stored", "read", "chunk_size"):
        document[key] = f"{document[key]} ({format_size(int(str(document[key])))})"
    about = document.pop("about")
    assert isinstance(about, dict)
    print_pairs([*document.items(), *((f"about {key}", value) for key, value in sorted(about.items()))])


@backup.command()
@click.argument("url")
@click.argument("target", type=click.Path())
@click.option("--overwrite", is_flag=True, help="Replace a file that exists. It stays whole until the new one is.")
@click.option("--larger", is_flag=True, help="A device larger than the backup will do.")
@click.option("--zeroed", is_flag=True, help="The device reads as zeros already: leave the backup's holes alone.")
@_memory_option
@json_option
def restore(url: str, target: str, *, overwrite: bool, larger: bool, zeroed: bool, memory: str, as_json: bool) -> None:
    """Restore a backup to a new file, or to a block device of the same size. Every byte is verified."""
    repository, volume, name = _locate(url, memory)
    with _progress("restore", as_json=as_json) as progress:
        repository.restore(volume, name, target, overwrite=overwrite, larger=larger, zeroed=zeroed, progress=progress)
    if as_json:
        print_json({"url": url, "target": target})


@backup.command()
@click.argument("url")
@_memory_option
@json_option
def verify(url: str, *, memory: str, as_json: bool) -> None:
    """Read all that a backup needs, and check it against the hash of the whole image."""
    repository, volume, name = _locate(url, memory)
    with _progress("verify", as_json=as_json) as progress:
        repository.verify(volume, name, progress=progress)
    root = repository.inspect(volume, name).root
    if as_json:
        print_json({"url": url, "verified": True, "root": root})
    else:
        click.echo(f"verified: {root}")


@backup.command()
@click.argument("url")
@json_option
def delete(url: str, *, as_json: bool) -> None:
    """Delete a backup, and what no other backup needs. Any backup can go, whatever was built upon it."""
    repository, volume, name = _locate(url)
    packs = repository.delete(volume, name)
    if as_json:
        print_json({"url": url, "packs": packs})


@backup.command()
@click.argument("dest")
@click.option("--force", is_flag=True, help="Take every backup under way for dead. Those that live will fail.")
@json_option
def sweep(dest: str, *, force: bool, as_json: bool) -> None:
    """Remove what killed backups and deletions left at DEST."""
    packs, size = _open(dest).sweep(force=force)
    if as_json:
        print_json({"packs": packs, "bytes": size})
    else:
        click.echo(f"{packs} packs removed, {format_size(size)}")


def _open(dest: str, memory: str = "256m", *, may_create: bool = False, no_encryption: bool = False) -> Repository:
    """The repository at a destination.

    :raises RefusedError: it would have to be made, and nobody said that it shall not be encrypted.
    """
    from drystone.backup.repository import create_repository, open_repository
    from drystone.backup.tuning import Tuning
    from drystone.store import open_store

    store, tuning = open_store(dest), Tuning(memory=parse_size(memory))
    try:
        return open_repository(store, tuning=tuning)
    except NotFoundError as error:
        if not may_create:
            raise NotFoundError(f"there is no repository of backups at {dest}") from error
        if not no_encryption:
            raise RefusedError(
                f"a repository at {dest} would not be encrypted: this version cannot encrypt",
                hint="say --no-encryption to make it all the same",
            ) from error
    return create_repository(store, tuning=tuning)


def _locate(url: str, memory: str = "256m") -> tuple[Repository, str, str]:
    """(repository, volume, backup) of a backup's URL."""
    from drystone.backup.url import parse_backup_url

    parsed = parse_backup_url(url)
    return _open(parsed.destination, memory), parsed.volume, parsed.backup


def _document(url: str, info: BackupInfo) -> dict[str, object]:
    """A backup as JSON: the URL, then what its manifest says. Sizes in bytes."""
    import msgspec

    return {"url": url, **msgspec.structs.asdict(info)}


@contextlib.contextmanager
def _progress(what: str, *, as_json: bool) -> Iterator[Callable[[int, int], None]]:
    """Progress on stderr: JSON lines with --json, a bar on a terminal, else nothing."""
    if as_json:
        yield _json_lines(what)
    elif not interactive():
        yield lambda _done, _total: None
    else:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            DownloadColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
            TransferSpeedColumn,
        )

        columns = (
            TextColumn("{task.description}"), BarColumn(), DownloadColumn(binary_units=True), TransferSpeedColumn(),
            TimeRemainingColumn(),
        )  # fmt: skip
        with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task(what, total=None)
            yield lambda done, total: bar.update(task, completed=done, total=total)


def _json_lines(what: str) -> Callable[[int, int], None]:
    """Lines of {"progress", "done", "total", "rate", "left"}: bytes, bytes a second, seconds."""
    begun = time.monotonic()
    last = 0.0

    def report(done: int, total: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last < _EVERY and done < total:
            return
        last = now
        rate = done / (now - begun) if now > begun else 0.0
        line = {"progress": what, "done": done, "total": total, "rate": round(rate)}
        if rate:
            line["left"] = round((total - done) / rate)
        click.echo(json.dumps(line), err=True)

    return report
