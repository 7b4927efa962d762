"""`drystone backup prune`: a policy of what to keep, and packs that are used in part rewritten."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from drystone.base.errors import UsageError
from drystone.base.sizes import format_size, parse_size
from drystone.cli.backup.metrics import current_measures, metrics_option
from drystone.cli.backup.opening import Access, access_options, open_destination
from drystone.cli.backup.progress import show_progress
from drystone.cli.output import json_option, print_json, print_table

if TYPE_CHECKING:
    from drystone.backup.collecting.prune import Plan, Pruned, Wish
    from drystone.backup.repository import Repository

_RULES = {
    "last": "The newest N backups.",
    "hourly": "The newest backup of each of the newest N hours that have one.",
    "daily": "Of each of the newest N days.",
    "weekly": "Of each of the newest N weeks, which begin on Mondays.",
    "monthly": "Of each of the newest N months.",
    "yearly": "Of each of the newest N years.",
}
"""The --keep options, and what they keep of each volume."""


def _keep(rule: str) -> click.Option:
    return click.Option([f"--keep-{rule}"], type=click.IntRange(0), default=0, metavar="N", help=_RULES[rule])


@click.command()
@click.argument("dest")
@click.option("--keep-within", metavar="TIME", help="All that are younger than this before the newest: 14d, 6m, 1y6m.")
@click.option("--timezone", default="UTC", show_default=True, metavar="NAME", help="Whose days: Europe/Berlin.")
@click.option(
    "--volume", metavar="UUID|NAME", help="Only this volume's backups: its UUID, or its source as `list` tells."
)
@click.option(
    "--max-unused",
    default="10",
    show_default=True,
    metavar="PERCENT",
    help="How much of what is stored may be unused before packs are rewritten; 100: never.",
)
@click.option("--max-rewrite", metavar="SIZE", help="Copy no more than so many bytes in this run: 500m, 10g.")
@click.option("--dry-run", is_flag=True, help="Show what would be done, and do nothing.")
@click.option("--force", is_flag=True, help="Take every backup under way for dead. Those that live will fail.")
@metrics_option("prune", lambda given: str(given["dest"]))
@access_options
@json_option
def prune(
    dest: str,
    *,
    keep_within: str | None,
    timezone: str,
    volume: str | None,
    max_unused: str,
    max_rewrite: str | None,
    dry_run: bool,
    force: bool,
    access: Access,
    as_json: bool,
    **keep: int,
) -> None:
    """Delete the backups at DEST that no --keep rule wants, and free what only they needed.

    For each volume, --keep-daily 7 keeps the newest backup of each of the newest seven days that have one; the other
    rules likewise, and what any rule wants stays. Without a rule no backup goes. Then what nobody needs is removed,
    packs of which much is unused are rewritten, and many small ones are merged. The plan is shown first.

    Backups can be made and read meanwhile. What killed backups left is removed too; a process of another host counts as
    living: see --force.

    \b
    Examples:
      drystone backup prune vfs:///srv/backup --keep-daily 7 --keep-weekly 5 --keep-monthly 12 --dry-run
      drystone backup prune s3://bucket/vg --keep-last 3 --keep-within 14d --max-rewrite 20g

    --json prints an object: keep and delete (lists of backups with their reasons), freed and rewritten (bytes), and
    `done`, which is null with --dry-run.
    """
    unused, most = _share(max_unused), None if max_rewrite is None else parse_size(max_rewrite)
    repository = open_destination(dest, access)  # its key is derived before what is imported below
    from drystone.backup.collecting.choice import Limits
    from drystone.backup.collecting.prune import Wish, raise_damages
    from drystone.backup.collecting.retention import Policy, parse_duration

    within = None if keep_within is None else parse_duration(keep_within)
    policy = Policy(**{rule: keep[f"keep_{rule}"] for rule in _RULES}, within=within, timezone=timezone)
    limits = Limits(unused, most)
    wish = Wish(policy, limits, "" if volume is None else _volume(repository, volume))

    def show(plan: Plan) -> None:
        if not as_json:
            _print_plan(plan, wish)

    with show_progress("rewrite", as_json=as_json) as progress:
        pruned = repository.prune(wish, dry_run=dry_run, force=force, show=show, progress=progress)
    _report(pruned, as_json=as_json)
    raise_damages(pruned)


prune.params[1:1] = [_keep(rule) for rule in _RULES]


def _report(pruned: Pruned, *, as_json: bool) -> None:
    """Print what was done, and measure it; the plan was shown before."""
    done = pruned.collected
    if done is not None:
        deleted = sum(not each.kept for each in pruned.plan.decisions)
        current_measures().values |= {"deleted_backups": deleted, "freed_bytes": done.bytes}
    if as_json:
        counted = None if done is None else {name: getattr(done, name) for name in done.__slots__}
        print_json({**pruned.plan.to_document(), "damages": list(pruned.damages), "done": counted})
    elif done is not None:
        click.echo(f"done: {done.packs} packs deleted, {format_size(done.bytes)}")
        if done.waiting:
            click.echo(f"{done.waiting} packs, {format_size(done.waiting_bytes)}, wait for operations under way")


def _share(text: str) -> float:
    """`10` or `10%` as a part of 1."""
    try:
        return float(text.removesuffix("%")) / 100
    except ValueError as error:
        raise UsageError(f"--max-unused {text!r} is no percentage", hint="a number from 0 to 100") from error


def _volume(repository: Repository, reference: str) -> str:
    """The UUID that is meant. :raises NotFoundError: no backup is of it. :raises UsageError: several have that name."""
    from drystone.base.names import find_by_reference

    heads = repository.list()
    return find_by_reference(reference, {(head.volume, head.source): None for head in heads}, "volume", shared=True)


def _print_plan(plan: Plan, wish: Wish) -> None:
    rows = [
        (each.backup.created[:19], each.backup.source, "keep" if each.kept else "delete", ", ".join(each.reasons))
        for each in plan.decisions
    ]
    if not wish.policy.empty:
        print_table(("created", "source", "what", "why"), rows)
    goes = sum(not each.kept for each in plan.decisions)
    click.echo(
        f"{goes} of {len(rows)} backups go; {format_size(plan.freed)} of {format_size(plan.stored)} are freed, "
        f"{format_size(plan.rewritten)} in {len(plan.rewrite)} packs are rewritten"
    )
