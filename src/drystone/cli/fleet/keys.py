"""`drystone fleet key` and `bucket`."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

import click

from drystone.base.errors import NotFoundError, UsageError
from drystone.cli.fleet.options import ask_mapper, fleet_options
from drystone.cli.fleet.status import fetch
from drystone.cli.output import json_option, print_json, print_line, print_pairs, print_table

if TYPE_CHECKING:
    from drystone.fleet.calls import Mappers
    from drystone.fleet.documents import Bucket, FleetMap

_RIGHTS = ("read", "write", "admin")


async def _fetch_map(mappers: Mappers) -> FleetMap:
    from drystone.fleet.documents import FleetMap

    return (await fetch(mappers, "/internal/map")).document(FleetMap)


async def _delete(mappers: Mappers, path: str) -> None:
    answer = await mappers.call("DELETE", path)
    if answer.status != 204:
        raise answer.error()


@click.group()
def key() -> None:
    """Access keys: who may read, write and administer which buckets."""


@key.command("create")
@fleet_options
@click.argument("rights", nargs=-1, required=True)
@json_option
def create_key(mappers: tuple[str, ...], secret: Path, rights: tuple[str, ...], as_json: bool) -> None:
    """Make a key with RIGHTS: BUCKET=read, BUCKET=write or BUCKET=admin; the bucket * is all of them.

    Its secret is shown once.

    \b
    Examples:
      drystone fleet key create '*=admin'
      drystone fleet key create backups=write archive=read
    """
    from drystone.fleet.documents import Key

    given: dict[str, Literal["read", "write", "admin"]] = {}
    for each in rights:
        name, _, right = each.partition("=")
        if not name or right not in _RIGHTS:
            raise UsageError(f"{each!r} is not BUCKET=RIGHT", hint=f"a right is {', '.join(_RIGHTS)}")
        given[name] = cast("Literal['read', 'write', 'admin']", right)
    made = Key(f"DRY{secrets.token_hex(8).upper()}", secrets.token_urlsafe(30), given)
    ask_mapper(mappers, secret, lambda asked: asked.ask("/internal/keys", made, Key))
    if as_json:
        print_json({"access_key": made.access_key, "secret_key": made.secret, "rights": given})
    else:
        print_pairs([("access key", made.access_key), ("secret key", made.secret)])


@key.command("list")
@fleet_options
@json_option
def list_keys(mappers: tuple[str, ...], secret: Path, as_json: bool) -> None:
    """List the keys and their rights, without secrets.

    \b
    Example:
      drystone fleet key list
    """
    found = ask_mapper(mappers, secret, _fetch_map).keys
    if as_json:
        print_json([{"access_key": each.access_key, "rights": each.rights} for each in found])
    else:
        rows = [(each.access_key, " ".join(f"{n}={r}" for n, r in sorted(each.rights.items()))) for each in found]
        print_table(("access key", "rights"), rows)


@key.command("delete")
@fleet_options
@click.argument("access_key")
@json_option
def delete_key(mappers: tuple[str, ...], secret: Path, access_key: str, as_json: bool) -> None:
    """Delete a key; requests signed with it are refused within a second.

    \b
    Example:
      drystone fleet key delete DRY0123456789ABCDEF
    """
    from urllib.parse import quote

    ask_mapper(mappers, secret, lambda asked: _delete(asked, f"/internal/keys/{quote(access_key, safe='')}"))
    if as_json:
        print_json({"deleted": access_key})


@click.group()
def bucket() -> None:
    """Buckets: the namespaces that hosts belong to."""


@bucket.command("create")
@fleet_options
@click.argument("name")
@click.option("--policy", type=click.Choice(["exclusive", "shared"]), default="shared", show_default=True)
@click.option("--quota", default="0", help="Most bytes, as 10G; 0 for no limit.  [default: 0]")
@json_option
def create_bucket(mappers: tuple[str, ...], secret: Path, name: str, policy: str, quota: str, as_json: bool) -> None:
    """Make a bucket: its hosts have disks of their own (exclusive), or share them by how full they are (shared).

    \b
    Example:
      drystone fleet bucket create backups --quota 500G
    """
    from drystone.base.sizes import parse_size
    from drystone.fleet.documents import Bucket, Policy
    from drystone.fleet.orders import NewBucket

    size = 0 if quota == "0" else parse_size(quota)
    wanted = NewBucket(name, cast("Policy", policy), quota=size)
    made = ask_mapper(mappers, secret, lambda asked: asked.ask("/internal/buckets", wanted, Bucket))
    if as_json:
        print_json({"name": made.name, "policy": made.policy, "quota": made.quota})


@bucket.command("set")
@fleet_options
@click.argument("name")
@click.option("--quota", help="Most bytes, as 10G; 0 for no limit.")
@click.option("--keep-deleted", "deleted", type=int, metavar="DAYS", help="Of what is deleted or replaced; 0: none.")
@click.option("--lock", "locked", type=int, metavar="DAYS", help="In which a new object cannot be deleted for good.")
@click.option("--expire", type=int, metavar="DAYS", help="After which an object is deleted; 0: never.")
@json_option
def set_bucket(
    mappers: tuple[str, ...],
    secret: Path,
    name: str,
    quota: str | None,
    deleted: int | None,
    locked: int | None,
    expire: int | None,
    as_json: bool,
) -> None:
    """Change how much a bucket may hold and how long it keeps what it is given. What is not named stays.

    Kept are earlier versions, as S3 knows them: `aws s3api list-object-versions` shows them. Days are whole ones, and
    end at midnight UTC. A lock is S3's GOVERNANCE: who has admin on the bucket can ask to pass over it.

    \b
    Examples:
      drystone fleet bucket set backups --keep-deleted 14 --quota 2T
      drystone fleet bucket set archive --lock 90 --expire 400
    """
    from urllib.parse import quote as escape

    from drystone.base.sizes import parse_size
    from drystone.fleet.documents import Bucket
    from drystone.fleet.orders import BucketChange
    from drystone.fleet.retention import change_settings

    size = None if quota is None else 0 if quota == "0" else parse_size(quota)

    async def act(asked: Mappers) -> Bucket:
        known = next((each for each in (await _fetch_map(asked)).buckets if each.name == name), None)
        if known is None:
            raise NotFoundError(f"there is no bucket {name!r}")
        settings = change_settings(known.settings, deleted=deleted, locked=locked, expire=expire)
        order = BucketChange(settings, size)
        return await asked.ask(f"/internal/buckets/{escape(name, safe='')}", order, Bucket)

    found = ask_mapper(mappers, secret, act)
    if as_json:
        print_json(_describe_bucket(found))


def _describe_bucket(found: Bucket) -> dict[str, object]:
    from drystone.fleet.retention import read_retention

    kept = read_retention(found.settings)
    return {
        "name": found.name,
        "policy": found.policy,
        "owner": found.owner,
        "quota": found.quota,
        "full": found.full,
        "keep_deleted_days": kept.deleted,
        "lock_days": kept.locked,
        "expire_days": kept.expire,
    }


@bucket.command("list")
@fleet_options
@json_option
def list_buckets(mappers: tuple[str, ...], secret: Path, as_json: bool) -> None:
    """List the buckets.

    \b
    Example:
      drystone fleet bucket list
    """
    from msgspec import to_builtins

    found = ask_mapper(mappers, secret, _fetch_map).buckets
    if as_json:
        print_json([{**to_builtins(each), **_describe_bucket(each)} for each in found])
        return
    rows = [_describe_bucket(each) for each in found]
    names = ("name", "policy", "owner", "quota", "keep_deleted_days", "lock_days", "expire_days")
    heads = ("name", "policy", "owner", "quota", "keeps deleted", "locked", "expires")
    print_table(heads, [[row[each] or "-" for each in names] for row in rows])


@bucket.command("delete")
@fleet_options
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do it: what is in it cannot be reached any more.")
@json_option
def delete_bucket(mappers: tuple[str, ...], secret: Path, name: str, yes: bool, as_json: bool) -> None:
    """Delete a bucket by hand. S3's DeleteBucket looks first whether it is empty; this does not.

    \b
    Example:
      drystone fleet bucket delete old --yes
    """
    from urllib.parse import quote

    if not yes:
        print_line(f"{name} is deleted with --yes; what it holds stays on the disks and cannot be reached", err=True)
        raise UsageError("not told to", hint="--yes")
    ask_mapper(mappers, secret, lambda asked: _delete(asked, f"/internal/buckets/{quote(name, safe='')}"))
    if as_json:
        print_json({"deleted": name})
