"""`drystone cluster cert`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from drystone.base.clock import format_rfc3339
from drystone.base.errors import NotFoundError, UsageError
from drystone.base.installing import Wanted, install
from drystone.cli.cluster.options import Name
from drystone.cli.output import json_option, print_json, print_pairs, print_table

if TYPE_CHECKING:
    from drystone.cluster.certificates import Issued, Purpose

_PURPOSES: dict[str, Purpose] = {"api": "server", "dpv": "server", "ihost": "server", "monitor": "client"}
"""By who has the certificate: agents and the API are called, the monitor calls agents."""
_FOLDER = Path("/etc/drystone/cluster")
_AUTHORITY = "authority"
_ONE = click.Path(path_type=Path)


@click.group()
def cert() -> None:
    """An authority of the cluster's own, and certificates for its servers.

    Clients trust the API by authority.pem (--authority), the monitor proves itself to agents, and they to it.
    """


@cert.command("authority")
@click.option("--folder", type=_ONE, default=_FOLDER, show_default=True, help="For authority.pem and authority.key.")
@click.option("--name", type=Name("authority"), default="drystone-cluster", show_default=True, help="Its name.")
@click.option("--days", type=click.IntRange(1, 36_500), default=3650, show_default=True, help="For which it counts.")
@click.option("--overwrite", is_flag=True, help="Also over one that is there: what that issued counts no more.")
@click.option("--dry-run", is_flag=True, help="Print what would be written; write nothing.")
@json_option
def make_authority(folder: Path, name: str, days: int, overwrite: bool, dry_run: bool, as_json: bool) -> None:
    """Make the authority. Its key is needed to issue certificates only: keep it on one machine.

    \b
    Example:
      drystone cluster cert authority --folder /root/cluster-authority
    """
    from drystone.cluster import certificates

    made = certificates.make_authority(name, days=days, now=datetime.now(UTC))
    _write(folder, _AUTHORITY, made, overwrite=overwrite, dry_run=dry_run, as_json=as_json)


@cert.command("make")
@click.argument("role", type=click.Choice(list(_PURPOSES)))
@click.argument("name", type=Name("certificate"))
@click.option("--address", "addresses", multiple=True, help="Host name or IP by which it is called; several times.")
@click.option("--authority", type=_ONE, default=_FOLDER, show_default=True, help="Folder of the authority.")
@click.option("--folder", type=_ONE, default=_FOLDER, show_default=True, help="For NAME.pem and NAME.key.")
@click.option("--days", type=click.IntRange(1, 36_500), default=825, show_default=True, help="For which it counts.")
@click.option("--overwrite", is_flag=True, help="Also over one that is there, to renew it.")
@click.option("--dry-run", is_flag=True, help="Print what would be written; write nothing.")
@json_option
def make(
    role: str, name: str, addresses: tuple[str, ...], authority: Path, folder: Path, days: int, overwrite: bool,
    dry_run: bool, as_json: bool,
) -> None:  # fmt: skip
    """Make a certificate for an API server, the agent of a dpv or an ihost, or a monitor.

    \b
    Examples:
      drystone cluster cert make api api1 --address 10.0.0.5 --address api.example
      drystone cluster cert make dpv d1 --address 10.0.0.1
      drystone cluster cert make monitor monitor1
    """
    from drystone.cluster import certificates

    if name == _AUTHORITY:
        raise UsageError(
            f"the files of a certificate {_AUTHORITY!r} would be the authority's", hint="name it otherwise"
        )
    root = certificates.Issued(_read(authority / f"{_AUTHORITY}.pem"), _read(authority / f"{_AUTHORITY}.key"))
    made = certificates.issue(root, name, _PURPOSES[role], addresses, days=days, now=datetime.now(UTC))
    _write(folder, name, made, overwrite=overwrite, dry_run=dry_run, as_json=as_json)


@cert.command("revoke")
@click.argument("files", type=_ONE, nargs=-1, required=True)
@click.option("--authority", type=_ONE, default=_FOLDER, show_default=True, help="Folder of the authority.")
@click.option("--dry-run", is_flag=True, help="Print what would be written; write nothing.")
@json_option
def revoke(files: tuple[Path, ...], authority: Path, dry_run: bool, as_json: bool) -> None:
    """Have the certificates in FILES count no more: of a host that was stolen, or whose key somebody has.

    authority.pem gets a list of them. It counts where that file is: bring it to every machine in the place of the old
    one, and restart the cluster's servers there (nothing is detached by that). A host's token is taken out of the API's
    file apart, and a volume that is attached to it is detached by force.

    \b
    Example:
      drystone cluster cert revoke h1.pem
    """
    from drystone.cluster import certificates

    root = certificates.Issued(_read(authority / f"{_AUTHORITY}.pem"), _read(authority / f"{_AUTHORITY}.key"))
    made = certificates.revoke(root, [_read(file) for file in files], now=datetime.now(UTC))
    wanted = Wanted(f"{authority.absolute() / _AUTHORITY}.pem", made)
    _install([wanted], overwrite=True, dry_run=dry_run, as_json=as_json)


@cert.command("show")
@click.argument("file", type=_ONE)
@json_option
def show(file: Path, as_json: bool) -> None:
    """Show whose a certificate is, what it is for and until when it counts.

    \b
    Example:
      drystone cluster cert show /etc/drystone/cluster/api1.pem
    """
    from drystone.cluster import certificates

    told = certificates.read(_read(file))
    pairs = [
        ("name", told.name),
        ("issuer", told.issuer),
        ("for", " ".join(told.purposes)),
        ("addresses", " ".join(told.addresses)),
        ("until", format_rfc3339(told.until)),
        ("serial", told.serial),
        ("revoked", " ".join(told.revoked)),
    ]
    if as_json:
        print_json(dict(pairs) | {"for": told.purposes, "addresses": told.addresses, "revoked": told.revoked})
    else:
        print_pairs(pairs)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise NotFoundError(f"there is no file {path}", hint="drystone cluster cert --help") from error
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror or error}") from error


def _write(folder: Path, name: str, made: Issued, *, overwrite: bool, dry_run: bool, as_json: bool) -> None:
    """Both files, and what was done with them is printed."""
    place = folder.absolute() / name
    wanted = [Wanted(f"{place}.key", made.key, mode=0o600), Wanted(f"{place}.pem", made.certificate)]
    _install(wanted, overwrite=overwrite, dry_run=dry_run, as_json=as_json)


def _install(wanted: Sequence[Wanted], *, overwrite: bool, dry_run: bool, as_json: bool) -> None:
    from msgspec import to_builtins

    found = install("/", wanted, overwrite=overwrite, dry_run=dry_run)
    if as_json:
        print_json(to_builtins(found))
    else:
        print_table(("file", "state"), [(each.path, each.state) for each in found])
