"""`drystone backup mount`: a backup as a block device that can be read, or at a unix socket."""

from __future__ import annotations

import contextlib
import threading
from pathlib import Path
from typing import Any

import click

from drystone.base.errors import DrystoneError, UsageError
from drystone.cli.backup.background import Report, run_in_background, wait_for_end
from drystone.cli.backup.finding import find_backup
from drystone.cli.backup.opening import Access, access_options
from drystone.cli.output import json_option, print_json, tell

_PATH = click.Path(path_type=Path)


@click.command()
@click.argument("url")
@click.option("--at", "folder", type=_PATH, metavar="FOLDER", help="Mount the file system as well, there, to be read.")
@click.option(
    "--socket", "path", type=_PATH, metavar="PATH", help="No device: serve the image by NBD at this unix socket."
)
@click.option("--background", is_flag=True, help="Return when it is there; `unmount` ends it.")
@access_options
@json_option
def mount(url: str, *, folder: Path | None, path: Path | None, background: bool, access: Access, as_json: bool) -> None:
    """Make the backup at URL a block device that can only be read, and print its path.

    The device is there until Ctrl-C, `drystone backup unmount`, or the end of this command; what is mounted of it is
    unmounted then. Nothing is restored: what is read is fetched, verified, and kept in memory for a while (a quarter of
    --memory). Where a byte is damaged its reader gets an I/O error, and stderr says where.

    A file system that was in use when it was backed up has a journal that is not empty: --at mounts it without looking
    at that. By hand it is `mount -o ro,noload` for ext4, `-o ro,norecovery,nouuid` for xfs.

    The device needs root. --socket needs nothing: qemu-img, nbdcopy and their like read from there.

    \b
    Examples:
      drystone backup mount 'vfs:///srv/backup?backup=...&volume=...'
      drystone backup mount --at /mnt/old --background 'vfs:///srv/backup?backup=...&volume=...'
      drystone backup mount --socket /tmp/nbd 'vfs:///srv/backup?backup=...&volume=...'

    --json prints an object: path (of the device or the socket), url, size (bytes), and folder or uri.
    """
    if folder is not None and path is not None:
        raise UsageError("--at is for a device, --socket for none", hint="say one of the two")
    if folder is not None and not folder.is_dir():
        raise UsageError(f"{folder} is no folder", hint="make it first")

    def work(report: Report) -> None:
        _serve(url, folder, path, access, report)

    def show(document: dict[str, Any]) -> None:
        if as_json:
            print_json(document)
        else:
            click.echo(document.get("folder") or document.get("uri") or document["path"])

    if background:
        show(run_in_background(work))
    else:
        work(show)


def _serve(url: str, folder: Path | None, path: Path | None, access: Access, report: Report) -> None:
    """Serve until the end; `report` is called when it is there."""
    from drystone.backup.serving import attached, listening, mount_device
    from drystone.dvm.signals import unwound_by_signals
    from drystone.kernel.memory import become_io_flusher

    over = threading.Event()
    become_io_flusher()
    with unwound_by_signals(), contextlib.ExitStack() as stack:
        backups, parsed = find_backup(url, access)
        image = stack.enter_context(backups.image(parsed.volume, parsed.backup, cache=access.memory // 4))
        document: dict[str, Any] = {"url": url, "size": image.size}
        if path is not None:
            uri = stack.enter_context(listening(image, path.absolute(), failed=_tell))
            document |= {"path": str(path.absolute()), "uri": uri}
        else:
            device = stack.enter_context(attached(image, url, failed=_tell, ended=over.set))
            document["path"] = device.path
            if folder is not None:
                mount_device(device, folder)
                document["folder"] = str(folder)
        report(document)
        wait_for_end(over)


def _tell(error: DrystoneError) -> None:
    tell(f"drystone: {error}")
