"""`dvm transact`: the versions of a group's metadata, each whole on all its devices."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import TYPE_CHECKING

import click

from drystone.base.errors import UsageError
from drystone.cli.dvm.configuration import config_option
from drystone.cli.dvm.host import make_host
from drystone.cli.dvm.plain.groups import make_nodes, open_group, run_program
from drystone.cli.dvm.tool import Tool, errors_as_json, print_document
from drystone.cli.input import name_input, read_input
from drystone.cli.output import HELP, Function, print_table
from drystone.cli.programs import device_mapper

if TYPE_CHECKING:
    from drystone.dvm.configuration import Configuration
    from drystone.dvm.transactions.activation import Activation
    from drystone.dvm.transactions.survey import Survey
    from drystone.kernel.pipe import Piped

activate_option = click.option("--activate", is_flag=True, help="Change device-mapper with it, in one go.")
dry_run_option = click.option("--dry-run", is_flag=True, help="Print what would change; change nothing.")
base_option = click.option("--base", default="", metavar="HASH", help="Refuse when the metadata is at another version.")
partial_option = click.option("--partial", is_flag=True, help="Also from a group that is not complete.")


def group_options(function: Function) -> Function:
    """GROUP, and where its devices are told."""
    for option in (
        click.argument("group"),
        click.option("--devices", "file", metavar="FILE", help="What `dvm discover find` printed; stdin otherwise."),
        click.option("--device", "paths", multiple=True, metavar="PATH", help="A device or file, instead of that."),
        errors_as_json,
        config_option,
    ):
        function = option(function)
    return function


@click.group(context_settings=HELP)
def transact() -> None:
    """A group's metadata: read and replaced as a whole, on all its devices or on none.

    The metadata is any JSON document; what it means is the business of others. The group's devices are told on stdin,
    as `dvm discover find` prints them, by --devices FILE, or one by one with --device PATH. Versions are written @7,
    @-1 (the one before the newest) or as the beginning of a hash.

    \b
    Examples:
      dvm discover find vg | dvm transact read vg | dvm report
      dvm discover find vg | dvm transact update vg -- dvm metadata create ...
    """


@transact.command(cls=Tool)
@group_options
@click.option("--text", is_flag=True, help="Words for people instead of JSON.")
def verify(configuration: Configuration, group: str, file: str | None, paths: tuple[str, ...], text: bool) -> None:
    """Say whether all devices of GROUP are there and agree, and what to do where not.

    \b
    Example:
      dvm discover find vg | dvm transact verify vg --text
    """
    from drystone.dvm.transactions.survey import explain, require_complete

    with _open(configuration, group, file, paths) as found:
        report = explain(found)
    if text:
        click.echo(f"{report.group.name}: {'complete' if report.complete else 'not complete'}")
        for each in report.findings:
            click.echo(f"  {each.message}" + (f"\n    {each.advice}" if each.advice else ""))
    else:
        print_document(report)
    sys.stdout.flush()
    require_complete(found)


@transact.command(cls=Tool)
@group_options
@partial_option
@click.option("--version", "reference", default="", metavar="VERSION", help="An older version.")
def read(
    configuration: Configuration,
    group: str,
    file: str | None,
    paths: tuple[str, ...],
    partial: bool,
    reference: str,
) -> None:
    """Print the metadata of GROUP.

    \b
    Examples:
      dvm discover find vg | dvm transact read vg
      dvm discover find vg | dvm transact read vg --version @-1
    """
    from drystone.dvm.transactions.transact import read as read_version

    with _open(configuration, group, file, paths, closely=False) as found:
        _, version = read_version(found, reference, partial=partial)
    click.echo(bytes(version.metadata))


@transact.command(cls=Tool)
@group_options
@base_option
@dry_run_option
@activate_option
@click.pass_context
@click.argument("mutator", nargs=-1, required=True, type=click.UNPROCESSED, metavar="-- PROGRAM...")
def update(
    ctx: click.Context,
    configuration: Configuration,
    group: str,
    file: str | None,
    paths: tuple[str, ...],
    base: str,
    dry_run: bool,
    activate: bool,
    mutator: tuple[str, ...],
) -> None:
    """Put what PROGRAM makes of the metadata of GROUP in its place.

    PROGRAM gets the metadata on stdin and prints the new ones. When it fails, or prints no JSON, nothing is changed.
    With --activate the metadata is a group document (see `dvm metadata`), and its volumes are brought to it in the same
    breath: devices are suspended, the metadata committed, the devices resumed.

    \b
    Examples:
      dvm discover find vg | dvm transact update vg -- dvm metadata create db --size 10G
      dvm discover find vg | dvm transact update vg --dry-run -- jq '.tags += ["new"]'
    """
    from drystone.base.clock import SystemClock
    from drystone.dvm.transactions.mutator import run_mutator
    from drystone.dvm.transactions.transact import update as update_metadata

    with _open(configuration, group, file, paths, write=not dry_run, closely=False) as found:
        outcome = update_metadata(
            found,
            lambda metadata: run_mutator(mutator, metadata, run=_run_program(ctx)),
            ("update", *mutator),
            SystemClock().now(),
            base=base,
            dry_run=dry_run,
            along=_along(ctx, configuration, found) if activate else None,
        )
    print_document(outcome)
    if activate:
        make_nodes(device_mapper(ctx))


@transact.command(cls=Tool)
@group_options
@base_option
@activate_option
@click.option("--without", multiple=True, metavar="DEVICE", help="Leave out a device (path or uuid); may be repeated.")
@click.pass_context
@click.argument("mutator", nargs=-1, type=click.UNPROCESSED, metavar="[-- PROGRAM...]")
def recover(
    ctx: click.Context,
    configuration: Configuration,
    group: str,
    file: str | None,
    paths: tuple[str, ...],
    base: str,
    activate: bool,
    without: tuple[str, ...],
    mutator: tuple[str, ...],
) -> None:
    """Finish or undo an update that was cut short, then rewrite the metadata for the devices that are left.

    Devices that are missing, cannot be read, or are left out by --without do not belong to it afterwards. PROGRAM makes
    the metadata fit, as in `update`. With --activate device-mapper is brought to what they are then: raid sets go on
    without lost legs, and volumes that cannot be whole are left as they are.

    \b
    Examples:
      dvm discover find vg | dvm transact recover vg
      dvm transact recover vg --devices devices.json --activate -- dvm metadata repair db --lost UUID
    """
    from drystone.base.clock import SystemClock
    from drystone.dvm.transactions.mutator import run_mutator
    from drystone.dvm.transactions.survey import readable_devices
    from drystone.dvm.transactions.transact import recover as recover_metadata

    mutate = partial(run_mutator, mutator, run=_run_program(ctx))
    with _open(configuration, group, file, paths, write=True, without=without) as found:
        outcome = recover_metadata(
            found,
            ("recover", *mutator),
            SystemClock().now(),
            mutate=mutate if mutator else None,
            base=base,
            along=make_host(ctx, configuration).activation(readable_devices(found), partial=True) if activate else None,
        )
    print_document(outcome)
    if activate:
        make_nodes(device_mapper(ctx))


@transact.command(cls=Tool)
@group_options
@dry_run_option
@click.option("--overwrite", is_flag=True, help="Also over regions that hold something else.")
@click.option("--without", multiple=True, metavar="DEVICE", help="Leave out a device (path or uuid); may be repeated.")
@click.option("--metadata", "first", metavar="FILE", help="The first version's metadata, of a group that has none.")
def expand(
    configuration: Configuration,
    group: str,
    file: str | None,
    paths: tuple[str, ...],
    dry_run: bool,
    overwrite: bool,
    without: tuple[str, ...],
    first: str | None,
) -> None:
    """Take the devices of GROUP that hold no metadata yet into it; of a new group, make the first version (null).

    \b
    Examples:
      dvm discover find vg | dvm transact expand vg
      dvm discover find vg | dvm transact expand vg --metadata first.json
    """
    from drystone.base.clock import SystemClock
    from drystone.dvm.transactions.transact import expand as expand_metadata
    from drystone.dvm.transactions.version import parse_metadata

    if first == "-" and not (file or paths):
        raise UsageError("stdin holds the devices already", hint="--metadata FILE")
    metadata = None if first is None else parse_metadata(read_input(first), name_input(first))
    with _open(configuration, group, file, paths, write=not dry_run, without=without) as found:
        outcome = expand_metadata(
            found,
            ("expand",),
            SystemClock().now(),
            keep=configuration.transact.keep,
            first=metadata,
            overwrite=overwrite,
            dry_run=dry_run,
        )
    print_document(outcome)


@transact.command(cls=Tool)
@group_options
@dry_run_option
@click.option("--force", is_flag=True, help="Also devices that the metadata names.")
@click.argument("going", nargs=-1, required=True, metavar="DEVICE...")
def reduce(
    configuration: Configuration,
    group: str,
    file: str | None,
    paths: tuple[str, ...],
    dry_run: bool,
    force: bool,
    going: tuple[str, ...],
) -> None:
    """Take DEVICEs (paths or uuids) out of the metadata of GROUP. Their labels stay: see `dvm discover rm`.

    \b
    Example:
      dvm discover find vg | dvm transact reduce vg /dev/sdc
    """
    from drystone.base.clock import SystemClock
    from drystone.dvm.transactions.transact import reduce as reduce_metadata

    with _open(configuration, group, file, paths, write=not dry_run) as found:
        outcome = reduce_metadata(found, going, ("reduce", *going), SystemClock().now(), force=force, dry_run=dry_run)
    print_document(outcome)


@transact.command(cls=Tool)
@group_options
@partial_option
@click.option("--text", is_flag=True, help="A table for people instead of JSON.")
def log(
    configuration: Configuration, group: str, file: str | None, paths: tuple[str, ...], partial: bool, text: bool
) -> None:
    """Print the versions of GROUP's metadata that can be read: when and by what each was made.

    \b
    Example:
      dvm discover find vg | dvm transact log vg --text
    """
    from drystone.dvm.transactions.transact import log as list_versions

    with _open(configuration, group, file, paths) as found:
        document = list_versions(found, partial=partial)
    if not text:
        print_document(document)
        return
    rows = [(f"@{each.sequence}", each.hash[:12], each.at, " ".join(each.command)) for each in document.versions]
    print_table(("version", "hash", "at", "command"), rows)


@transact.command(cls=Tool)
@group_options
@partial_option
@click.option("--text", is_flag=True, help="Lines for people instead of JSON.")
@click.argument("old", default="")
@click.argument("new", default="")
def diff(
    configuration: Configuration,
    group: str,
    file: str | None,
    paths: tuple[str, ...],
    partial: bool,
    text: bool,
    old: str,
    new: str,
) -> None:
    """Print how the version NEW (the newest) of GROUP's metadata differs from OLD (the one before it).

    \b
    Examples:
      dvm discover find vg | dvm transact diff vg --text
      dvm discover find vg | dvm transact diff vg @3 @5
    """
    from drystone.dvm.transactions.difference import render_changes
    from drystone.dvm.transactions.transact import diff as compare_versions

    with _open(configuration, group, file, paths) as found:
        document = compare_versions(found, old, new, partial=partial)
    if not text:
        print_document(document)
        return
    for line in render_changes(document.changes):
        click.echo(line)


@transact.command(cls=Tool)
@group_options
@base_option
@dry_run_option
@activate_option
@click.pass_context
@click.argument("reference", metavar="VERSION")
def revert(
    ctx: click.Context,
    configuration: Configuration,
    group: str,
    file: str | None,
    paths: tuple[str, ...],
    base: str,
    dry_run: bool,
    activate: bool,
    reference: str,
) -> None:
    """Put the metadata of VERSION in the place of the newest, as a new version.

    \b
    Examples:
      dvm discover find vg | dvm transact revert vg @4 --dry-run
      dvm discover find vg | dvm transact revert vg @4
    """
    from drystone.base.clock import SystemClock
    from drystone.dvm.transactions.transact import revert as revert_metadata

    with _open(configuration, group, file, paths, write=not dry_run) as found:
        outcome = revert_metadata(
            found,
            reference,
            ("revert", reference),
            SystemClock().now(),
            base=base,
            dry_run=dry_run,
            along=_along(ctx, configuration, found) if activate else None,
        )
    print_document(outcome)
    if activate:
        make_nodes(device_mapper(ctx))


def _run_program(ctx: click.Context) -> Callable[[Sequence[str], bytes], Piped]:
    """Runs programs; a mutator of this very `dvm` without starting Python once more."""

    def run_here(words: Sequence[str]) -> int:
        from drystone.cli.exits import run

        return run(ctx.find_root().command, ["--json", *words], name="dvm")

    return partial(run_program, run_here)


def _along(ctx: click.Context, configuration: Configuration, found: Survey) -> Activation:
    """What changes device-mapper with the metadata."""
    return make_host(ctx, configuration).activation(found.document)


def _open(
    configuration: Configuration,
    group: str,
    file: str | None,
    paths: tuple[str, ...],
    *,
    write: bool = False,
    without: tuple[str, ...] = (),
    closely: bool = True,
) -> AbstractContextManager[Survey]:
    """The group's regions, open."""
    wait_s = configuration.common.wait_s
    return open_group(group, file, paths, write=write, wait_s=wait_s, without=without, closely=closely)
