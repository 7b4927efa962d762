"""`drystone backup`: back up devices and files, list, restore, verify, delete."""

from __future__ import annotations

import contextlib
import functools
import json
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from drystone.base.errors import DamagedError, MismatchError, NotFoundError, RefusedError, UsageError
from drystone.base.sizes import format_size, parse_size
from drystone.cli.era_backup import era_options, find_era_disk, may_be_era
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

    A destination (DEST) is the path of a folder, vfs:///dir, s3://bucket[@region]/path, gs://bucket/path or
    az://container/path. A backup's URL is what `create` and `list` print; quote
    it in a shell. Exit codes: docs/reference/exit-codes.md.

    \b
    Examples:
      drystone backup create disk.img --dest vfs:///srv/backup --no-encryption
      drystone backup list vfs:///srv/backup
      drystone backup restore 'vfs:///srv/backup?backup=...&volume=...' restored.img
    """
    from drystone.store.waiting import heed_interrupts

    # A store that is silent would hold the program for a minute after Ctrl-C.
    click.get_current_context().with_resource(heed_interrupts())


def _memory_option(function: Callable[..., None]) -> Callable[..., None]:
    return click.option(
        "--memory",
        default="256m",
        show_default=True,
        metavar="SIZE",
        help="What buffers may take: 64m, 1g; at least 48m.",
    )(function)


@backup.command()
@click.argument("source", type=click.Path(path_type=Path))
@click.option(
    "--dest",
    required=True,
    metavar="URL",
    help="Where to: a folder, vfs:///dir, s3://bucket[@region]/path, gs://..., az://...",
)
@click.option(
    "--base", metavar="URL", help="The backup to build upon; otherwise the newest of this source that is not damaged."
)
@click.option("--full", is_flag=True, help="Build upon no backup: store everything again.")
@click.option(
    "--name", metavar="TEXT", help="What the source is called; otherwise its path. Backups of one name belong together."
)
@click.option(
    "--no-encryption", is_flag=True, help="Needed for the first backup to DEST, as this version cannot encrypt."
)
@era_options
@_memory_option
@json_option
def create(
    source: Path,
    dest: str,
    base: str | None,
    name: str | None,
    *,
    full: bool,
    no_encryption: bool,
    state: Path | None,
    data: Path | None,
    at_era: int | None,
    memory: str,
    as_json: bool,
) -> None:
    """Back up SOURCE, a block device or an image file, and print the backup's URL.

    All of SOURCE is read; chunks that an earlier backup of it has are not stored again. Of an era device (see
    `drystone era create`) only what was written since the earlier backup is read, where that is sure; stderr says why
    where it is not. Each backup is complete: any one can be deleted. SOURCE should not change meanwhile: back up a
    snapshot of what is in use.

    A damaged earlier backup is passed over with a warning. When `verify` finds one damaged, make a new one with --full.

    \b
    Examples:
      drystone backup create disk.img --dest vfs:///srv/backup --no-encryption
      drystone backup create /dev/vg/home-snapshot --dest vfs:///srv/backup --name home
      drystone backup create /dev/mapper/db --dest vfs:///srv/backup

    --json prints the backup as an object: url, size, read, stored (bytes) and more, and `warnings`, a list of text.
    stderr then holds lines of progress: done and total (bytes), rate (bytes a second), left (seconds).
    """
    from drystone.backup.url import BackupUrl

    known = name or str(source.absolute())
    opening = functools.partial(_open, dest, memory, may_create=True, no_encryption=no_encryption)
    wish = _Wish(source, known, dest, base, full, opening)
    warnings: list[str] = []
    with _progress("backup", as_json=as_json) as progress:
        made = _back_up_era(wish, state, data, at_era, warnings, progress) if may_be_era(source) else None
        if made is None:
            if state or data or at_era:
                raise UsageError(f"--state, --data and --at-era are for era devices, and {source} is none")
            made = _back_up_device(wish, warnings, progress)
    url = str(BackupUrl(dest, made.backup, made.volume))
    for each in warnings:
        click.echo(json.dumps({"warning": each}) if as_json else f"drystone: warning: {each}", err=True)
    if as_json:
        print_json({**_document(url, made), "warnings": warnings})
    else:
        click.echo(url)


@dataclass(frozen=True, slots=True)
class _Wish:
    """What `create` was asked for; `open` opens the repository, or makes it."""

    source: Path
    known: str
    dest: str
    base: str | None
    full: bool
    open: Callable[[], Repository]


def _back_up_device(wish: _Wish, warnings: list[str], progress: Callable[[int, int], None]) -> BackupInfo:
    from drystone.backup.repository import BackupRequest
    from drystone.backup.source import DeviceSource

    with DeviceSource(wish.source) as opened:
        repository = wish.open()
        volume, base = _find_base(repository, wish, warnings)
        made = repository.create(opened, BackupRequest(volume, wish.known, base), progress=progress)
        warnings += opened.warnings()
    return made


def _back_up_era(
    wish: _Wish,
    state: Path | None,
    data: Path | None,
    at_era: int | None,
    warnings: list[str],
    progress: Callable[[int, int], None],
) -> BackupInfo | None:
    """None: the source is no era device."""
    from drystone.backup.era_backup import EraRequest, back_up_era
    from drystone.kernel.dm.device_mapper import KernelDeviceMapper

    if (data is None) != (at_era is None):
        raise UsageError("--data and --at-era go together", hint="--at-era is what `drystone era checkpoint` printed")
    if state is not None and (wish.base or wish.full):
        raise UsageError("--state says what to build upon", hint="leave out --base and --full, or --state")
    if state is not None and state.exists() and not state.is_file():
        raise UsageError(f"the state file {state} is no plain file")
    with KernelDeviceMapper() as dm:
        disk = find_era_disk(dm, wish.source, warnings)
        if disk is None:
            return None
        volume, base = _read_wish(wish)
        request = EraRequest(volume, wish.known, base, wish.full, state, str(data or ""), at_era)
        passed: list[str] = []
        made = back_up_era(
            wish.open(), disk, request, damaged=lambda error: passed.append(error.message), progress=progress
        )
    warnings += [f"{each}; it was passed over" for each in passed]
    warnings += made.warnings
    if made.reading.choice.since is None:
        warnings.append(f"everything was read: {made.reading.choice.reason}")
    return made.head


def _read_wish(wish: _Wish) -> tuple[str, str]:
    """(volume, base backup or ""), of the URL that was given, or of the source's name."""
    from drystone.backup.url import parse_backup_url

    if wish.base is not None and wish.full:
        raise UsageError("--full builds upon no backup, --base upon one", hint="say one of the two")
    if wish.base is None:
        return str(uuid.uuid5(_SOURCES, wish.known)), ""
    url = parse_backup_url(wish.base)
    if url.destination != wish.dest:
        raise MismatchError(f"the base is at {url.destination!r} and the new backup would be at {wish.dest!r}")
    return url.volume, url.backup


def _find_base(repository: Repository, wish: _Wish, warnings: list[str]) -> tuple[str, str]:
    """(volume, base backup or ""): those of the URL that was given, or what is known of the source.

    Damaged ones are passed over; `warnings` takes what they are.
    """
    volume, base = _read_wish(wish)
    if base:
        return volume, repository.inspect(volume, base).backup
    if wish.full:
        return volume, ""
    passed_over: list[str] = []
    found = repository.find_base(volume, damaged=lambda error: passed_over.append(error.message))
    instead = f"built upon backup {found.backup} instead" if found else "a full backup was made instead"
    warnings += [f"{each}; {instead}" for each in passed_over]
    return volume, found.backup if found else ""


@backup.command("list")
@click.argument("dest")
@json_option
def list_(dest: str, *, as_json: bool) -> None:
    """List the backups at DEST (a folder or an object store), oldest first.

    Columns: when it was made (UTC), its source, the size of the image, what it added to the store, its URL. Those whose
    manifest is damaged are told at the end, as an error.

    \b
    Examples:
      drystone backup list vfs:///srv/backup
      drystone backup list vfs:///srv/backup --json | jq -r '.[-1].url'

    --json prints an array of objects: url, created (RFC 3339), source, size and stored (bytes), parent and more.
    """
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
        facts = damaged[0].facts
        url = BackupUrl(dest, str(facts["backup"]), str(facts["volume"]))
        raise DamagedError(f"{damaged[0].message}{more}", hint=f"drystone backup delete '{url}' removes it", **facts)


@backup.command()
@click.argument("url")
@json_option
def show(url: str, *, as_json: bool) -> None:
    """Show what is known of the backup at URL, as `create` and `list` print it.

    \b
    `read` is what was read from the source, `stored` what it added to the store, `chunks` those that are not zero.
    Quote the URL in a shell.

    \b
    Example:
      drystone backup show 'vfs:///srv/backup?backup=...&volume=...'
    """
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
@click.option("--larger", is_flag=True, help="A device larger than the backup will do; its rest is left alone.")
@click.option(
    "--zeroed", is_flag=True, help="The device reads as zeros already (never written to): do not write the holes."
)
@_memory_option
@json_option
def restore(url: str, target: str, *, overwrite: bool, larger: bool, zeroed: bool, memory: str, as_json: bool) -> None:
    """Restore the backup at URL to TARGET: a new file, or a block device of the same size, which is overwritten.

    Every byte is verified before it is written. A file has its name only when it is whole and on the disk. A device
    that is mounted or part of another one is refused; after a failure it holds a part of the image.

    \b
    Examples:
      drystone backup restore 'vfs:///srv/backup?backup=...&volume=...' restored.img
      drystone backup restore 'vfs:///srv/backup?backup=...&volume=...' /dev/vg/home
    """
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
    """Read all that the backup at URL needs, and check it against the hash of the whole image.

    Prints that hash. Damaged places are named by their offset in the image (bytes); with --json the error on stderr
    lists up to 100 of them as `damages`.

    \b
    Example:
      drystone backup verify 'vfs:///srv/backup?backup=...&volume=...'
    """
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
    """Delete the backup at URL, and what no other backup needs.

    Any backup can go, whatever was built upon it. Refused while another is being built upon it (exit code 5).

    \b
    Example:
      drystone backup delete 'vfs:///srv/backup?backup=...&volume=...'
    """
    repository, volume, name = _locate(url)
    packs = repository.delete(volume, name)
    if as_json:
        print_json({"url": url, "packs": packs})


@backup.command()
@click.argument("dest")
@click.option("--force", is_flag=True, help="Take every backup under way for dead. Those that live will fail.")
@json_option
def sweep(dest: str, *, force: bool, as_json: bool) -> None:
    """Remove what killed backups and deletions left at DEST (a folder or an object store).

    Backups are not touched, nor is what a living process writes. A process of another host counts as living.

    \b
    Example:
      drystone backup sweep vfs:///srv/backup
    """
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

    if "?backup=" in dest:
        raise UsageError(f"{dest!r} is the URL of a backup", hint=f"name its destination: {dest.partition('?')[0]}")
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
