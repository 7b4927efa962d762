"""`convoy`: the command line of seed 000, to the letter; `drystone volume` is the same in our own voice.

stdout holds the result and nothing else: an identifier, a path, a URL, or JSON indented by a tab. A failure is
`{"Error": "..."}` on stdout, a log line on stderr, exit code 1. Options may follow or precede the positional
arguments: click takes both.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from drystone import __version__
from drystone.base.errors import DrystoneError
from drystone.base.sizes import parse_size
from drystone.cli.exits import BROKEN_PIPE, INTERRUPTED, drop_unwritable, invoke
from drystone.cli.output import HELP
from drystone.wire.client import Answer, UnixClient

DEFAULT_SOCKET = "/var/run/convoy/convoy.sock"
DEFAULT_ROOT = "/var/lib/convoy"


@dataclass(frozen=True, slots=True)
class Session:
    """The global options."""

    client: UnixClient
    socket: Path
    verbose: bool
    debug: bool


pass_session = click.make_pass_decorator(Session)


def print_answer(answer: Answer) -> None:
    """JSON indented by a tab, or the bare text; nothing for an empty one."""
    if answer.content_type == "application/json":
        click.echo(json.dumps(answer.document(), indent="\t", ensure_ascii=False))
    elif answer.text:
        click.echo(answer.text.rstrip("\n"))


@contextlib.contextmanager
def goes_on() -> Iterator[None]:
    """A request for long work: after Ctrl-C it is said that the daemon goes on with it."""
    try:
        yield
    except KeyboardInterrupt:
        click.echo("the daemon goes on with it; `drystone volume work` shows how far it is", err=True)
        raise


@click.group(context_settings=HELP)
@click.option("--socket", "-s", default=DEFAULT_SOCKET, show_default=True, help="The daemon's unix socket.")
@click.option("--debug", "-d", is_flag=True, help="Log more.")
@click.option("--verbose", is_flag=True, help="Print the whole object instead of its identifier.")
@click.version_option(__version__, "--version", "-v", prog_name="convoy")
@click.pass_context
def convoy(ctx: click.Context, socket: str, debug: bool, verbose: bool) -> None:
    """Volumes, snapshots and backups on one host.

    \b
    Examples:
      convoy daemon --drivers devicemapper --driver-opts dm.datadev=/dev/loop0 \\
             --driver-opts dm.metadatadev=/dev/loop1
      convoy create db --size 10G
      convoy mount db
      convoy snapshot create db --name monday
      convoy backup create monday --dest vfs:///srv/backup

    A VOLUME or SNAPSHOT is named by its UUID, its name, or a beginning of the UUID that only it has. A result is on
    stdout; a failure is {"Error": "..."} there, a line on stderr, and exit code 1.
    """
    ctx.obj = Session(UnixClient(Path(socket)), Path(socket), verbose, debug)


def daemon_options(function: Callable[..., None]) -> Callable[..., None]:
    """The options that start a daemon, the same here and for `drystone volume daemon`."""
    options = [
        click.option("--log", "log_file", metavar="FILE", help="Write the log to this file instead of stderr."),
        click.option(
            "--log-format",
            type=click.Choice(("text", "json")),
            default="text",
            show_default=True,
            help="Lines for people, or a JSON object each: at, level, logger, thread, message, trace.",
        ),
        click.option(
            "--root",
            metavar="FOLDER",
            default=DEFAULT_ROOT,
            show_default=True,
            help="Folder of the daemon's own state.",
        ),
        click.option(
            "--drivers",
            multiple=True,
            metavar="NAME",
            help="Driver to run: devicemapper or vfs. Repeat; first is default.",
        ),
        click.option("--driver-opts", multiple=True, metavar="KEY=VALUE", help="Option of a driver, as above. Repeat."),
        click.option(
            "--mounts-dir", metavar="FOLDER", help="Where volumes are mounted when no place is named. [ROOT/mounts]"
        ),
        click.option(
            "--docker-rm-snapshots",
            "with_snapshots",
            is_flag=True,
            help="`docker volume rm` deletes a volume's snapshots too; without, one that has some is refused.",
        ),
    ]
    for option in reversed(options):
        function = option(function)
    return function


DAEMON_HELP = """Run the daemon in the foreground until SIGTERM or Ctrl-C; volumes stay mounted.

It ends once the requests under way are done, or at once after a second signal; the next start mends what was cut
short. A driver that refuses to start stops the daemon: start it without that driver to have the others.

\b
Options of the driver devicemapper (--driver-opts):
  dm.datadev=DEVICE          the pool's data; needed
  dm.metadatadev=DEVICE      the pool's metadata; needed
  dm.thinpoolname=NAME       convoy-pool
  dm.thinpoolblocksize=N     sectors of 512 bytes, 128 to 2097152 in steps of 128; 4096 (2 MiB)
  dm.defaultvolumesize=SIZE  bytes, or a whole number with k, m, g or t; 100G
  dm.fs=KIND                 ext4 or xfs; ext4
\b
Options of the driver vfs:
  vfs.path=FOLDER              where the volumes are; needed
  vfs.defaultvolumesize=SIZE   of disk images made with --vm; 100G
\b
Environment:
  DRYSTONE_PASSPHRASE_FILE   holds the passphrase of encrypted destinations of backups; new
                             ones are encrypted by it, and without it they are not
  AWS_ACCESS_KEY_ID and others   as docs/how-to/object-stores.md has them
\b
Example:
  convoy daemon --drivers vfs --driver-opts vfs.path=/srv/volumes
"""


def start_daemon(
    socket: Path,
    *,
    debug: bool,
    log_file: str | None,
    log_format: str,
    root: str,
    drivers: Sequence[str],
    driver_opts: Sequence[str],
    mounts_dir: str | None,
    with_snapshots: bool,
) -> None:
    """Set up the log and serve until SIGTERM."""
    import logging

    from drystone.backup.credentials import find_credential
    from drystone.base.log_lines import set_up_log
    from drystone.volumes.daemon import DaemonSetting, run_daemon
    from drystone.wire.notify import notify

    set_up_log(log_file, debug=debug, as_json=log_format == "json")
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    credential = find_credential(os.environ, logging.getLogger("drystone").warning)
    mounts = Path(mounts_dir) if mounts_dir else None
    setting = DaemonSetting(Path(root), socket, drivers, driver_opts, mounts, credential, with_snapshots)

    def ready() -> None:
        logging.getLogger("drystone").info("serving on %s", socket)
        notify("READY=1")

    run_daemon(setting, ready)


def _daemon(
    session: Session,
    debug: bool,
    log_file: str | None,
    log_format: str,
    root: str,
    drivers: tuple[str, ...],
    driver_opts: tuple[str, ...],
    mounts_dir: str | None,
    with_snapshots: bool,
) -> None:
    start_daemon(
        session.socket,
        debug=debug or session.debug,
        log_file=log_file,
        log_format=log_format,
        root=root,
        drivers=drivers,
        driver_opts=driver_opts,
        mounts_dir=mounts_dir,
        with_snapshots=with_snapshots,
    )


for _name in ("daemon", "server"):
    _command = click.command(_name, help=DAEMON_HELP)(
        click.option("--debug", is_flag=True, help="Log more.")(daemon_options(pass_session(_daemon)))
    )
    convoy.add_command(_command)


@convoy.command()
@pass_session
def info(session: Session) -> None:
    """Show the daemon and its drivers."""
    print_answer(session.client.call("GET", "/v1/info"))


@convoy.command()
@click.argument("name", default="")
@click.option("--driver", default="", metavar="NAME", help="Driver, if not the daemon's default.")
@click.option("--size", default="", metavar="SIZE", help="Bytes, or a whole number with k, m, g or t (powers of 1024).")
@click.option("--backup", default="", metavar="URL", help="Restore this backup into it; the size is the backup's.")
@click.option("--id", "identity", default="", metavar="ID", help="Take over an existing volume, where the driver can.")
@click.option("--type", "kind", default="", metavar="KIND", help="Kind of volume, where the driver has kinds.")
@click.option("--iops", default=0, metavar="N", help="IOPS, where the driver sells them.")
@click.option("--vm", is_flag=True, help="Make a disk image for a virtual machine (vfs).")
@click.option("--s3-endpoint", default="", help="Endpoint of an S3 store that is not Amazon's.")
@pass_session
def create(
    session: Session,
    name: str,
    driver: str,
    size: str,
    backup: str,
    identity: str,
    kind: str,
    iops: int,
    vm: bool,
    s3_endpoint: str,
) -> None:
    """Make a volume, empty or out of a backup; prints its UUID. Without NAME it is called volume-XXXXXXXX.

    \b
    Examples:
      convoy create db --size 10G
      convoy create db2 --backup 'vfs:///srv/backup?backup=UUID&volume=UUID'
    """
    body = {
        "Name": name,
        "DriverName": driver,
        "Size": parse_size(size) if size else 0,
        "BackupURL": backup,
        "DriverVolumeID": identity,
        "Type": kind,
        "IOPS": iops,
        "PrepareForVM": vm,
        "Endpoint": s3_endpoint,
        "Verbose": session.verbose,
    }
    with goes_on() if backup else contextlib.nullcontext():
        print_answer(session.client.call("POST", "/v1/volumes/create", body))


@convoy.command()
@click.argument("volumes", nargs=-1, required=True, metavar="VOLUME...")
@click.option("--reference", "-r", is_flag=True, help="Only forget the volume, where the driver can.")
@pass_session
def delete(session: Session, volumes: tuple[str, ...], reference: bool) -> None:
    """Delete volumes with their snapshots. Backups stay."""
    for volume in volumes:
        session.client.call("DELETE", "/v1/volumes/", {"VolumeUUID": volume, "ReferenceOnly": reference})


@convoy.command()
@click.argument("volume")
@click.option("--mountpoint", default="", metavar="FOLDER", help="Where, if not in the daemon's folder of mounts.")
@pass_session
def mount(session: Session, volume: str, mountpoint: str) -> None:
    """Mount a volume; prints where. It is mounted again after a restart, until `umount`."""
    body = {"VolumeUUID": volume, "MountPoint": mountpoint, "Verbose": session.verbose}
    print_answer(session.client.call("POST", "/v1/volumes/mount", body))


@convoy.command()
@click.argument("volume")
@pass_session
def umount(session: Session, volume: str) -> None:
    """Unmount a volume."""
    session.client.call("POST", "/v1/volumes/umount", {"VolumeUUID": volume})


@convoy.command("list")
@click.option("--driver", default="", help="Only volumes of this driver.")
@pass_session
def list_(session: Session, driver: str) -> None:
    """Show all volumes, by UUID."""
    print_answer(session.client.call("GET", "/v1/volumes/list", {"Driver": driver}))


@convoy.command()
@click.argument("volume")
@pass_session
def inspect(session: Session, volume: str) -> None:
    """Show a volume and its snapshots."""
    print_answer(session.client.call("GET", "/v1/volumes/", {"VolumeUUID": volume}))


@convoy.group()
def snapshot() -> None:
    """Snapshots of volumes."""


@snapshot.command("create")
@click.argument("volume")
@click.option("--name", default="", metavar="NAME", help="Name of the snapshot. [snapshot-XXXXXXXX]")
@pass_session
def snapshot_create(session: Session, volume: str, name: str) -> None:
    """Take a snapshot, of a mounted volume too; prints its UUID."""
    body = {"VolumeUUID": volume, "Name": name, "Verbose": session.verbose}
    print_answer(session.client.call("POST", "/v1/snapshots/create", body))


@snapshot.command("delete")
@click.argument("name", metavar="SNAPSHOT")
@pass_session
def snapshot_delete(session: Session, name: str) -> None:
    """Delete a snapshot."""
    session.client.call("DELETE", "/v1/snapshots/", {"SnapshotUUID": name})


@snapshot.command("inspect")
@click.argument("name", metavar="SNAPSHOT")
@pass_session
def snapshot_inspect(session: Session, name: str) -> None:
    """Show a snapshot."""
    print_answer(session.client.call("GET", "/v1/snapshots/", {"SnapshotUUID": name}))


@convoy.group()
def backup() -> None:
    """Backups of snapshots."""


def _endpoint_option(function: Callable[..., None]) -> Callable[..., None]:
    return click.option("--s3-endpoint", default="", help="Endpoint of an S3 store that is not Amazon's.")(function)


@backup.command("create")
@click.argument("name", metavar="SNAPSHOT")
@click.option("--dest", default="", metavar="URL", help="Destination, such as vfs:///srv/backup.")
@_endpoint_option
@pass_session
def backup_create(session: Session, name: str, dest: str, s3_endpoint: str) -> None:
    """Back a snapshot up; prints the backup's URL.

    Only what changed since the volume's last backup at DEST is read, if the snapshot of that one still exists. Every
    backup is complete by itself.

    \b
    Example:
      convoy backup create monday --dest vfs:///srv/backup
    """
    body = {"SnapshotUUID": name, "URL": dest, "Endpoint": s3_endpoint, "Verbose": session.verbose}
    with goes_on():
        print_answer(session.client.call("POST", "/v1/backups/create", body))


@backup.command("delete")
@click.argument("url")
@_endpoint_option
@pass_session
def backup_delete(session: Session, url: str, s3_endpoint: str) -> None:
    """Delete a backup."""
    session.client.call("DELETE", "/v1/backups", {"URL": url, "Endpoint": s3_endpoint})


@backup.command("inspect")
@click.argument("url")
@_endpoint_option
@pass_session
def backup_inspect(session: Session, url: str, s3_endpoint: str) -> None:
    """Show a backup."""
    print_answer(session.client.call("GET", "/v1/backups/inspect", {"URL": url, "Endpoint": s3_endpoint}))


@backup.command("list")
@click.argument("dest")
@click.option("--volume-uuid", default="", help="Only backups of this volume.")
@click.option("--volume-name", default="", help="Only backups of volumes of this name.")
@_endpoint_option
@pass_session
def backup_list(session: Session, dest: str, volume_uuid: str, volume_name: str, s3_endpoint: str) -> None:
    """Show the backups at a destination, by URL."""
    body = {"URL": dest, "VolumeUUID": volume_uuid, "VolumeName": volume_name, "Endpoint": s3_endpoint}
    print_answer(session.client.call("GET", "/v1/backups/list", body))


def _fail(message: str) -> int:
    """The failure as Convoy's scripts expect it."""
    click.echo(json.dumps({"Error": message}, ensure_ascii=False))
    sys.stdout.flush()
    click.echo(f"level=error msg={json.dumps(message, ensure_ascii=False)}", err=True)
    return 1


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; its exit code: 0 or 1, 130 after Ctrl-C, 141 when the reader of stdout went away."""
    try:
        return _run(list(sys.argv[1:] if arguments is None else arguments))
    except BrokenPipeError:
        drop_unwritable(sys.stdout)
        return BROKEN_PIPE


def _run(words: Sequence[str]) -> int:
    try:
        return invoke(convoy, words, "convoy")
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())
        return 0
    except click.ClickException as error:
        return _fail(error.format_message())
    except (click.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except BrokenPipeError:
        raise
    except DrystoneError as error:
        return _fail(str(error))
    except OSError as error:
        return _fail(f"{error.filename}: {error.strerror}" if error.filename else str(error))
    except Exception as error:  # the outermost supervisor: a defect is a failure like any other to Convoy's scripts
        if os.environ.get("DRYSTONE_DEBUG"):
            raise
        return _fail(f"{type(error).__name__}: {error}")


def main() -> None:
    """The console script."""
    sys.exit(run())


if __name__ == "__main__":
    main()
