"""`thin_check`: whether thin metadata is sound, and what is wrong with it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from drystone.base.errors import BusyError, DamagedError, ExhaustedError, UnsupportedError, UsageError
from drystone.cli.output import json_option, print_json
from drystone.cli.tools.command import quiet_option, tool
from drystone.cli.tools.plain.failures import name_file

if TYPE_CHECKING:
    from drystone.formats.thin.check import CheckOptions, Report
    from drystone.kernel.blockdev import BlockDevice

MOST_LINES = 200
"""Findings that are printed as text; the JSON report has them all."""

_BLOCK = click.IntRange(min=0)


@tool("thin_check")
@click.argument("file", metavar="INPUT", type=click.Path())
@quiet_option
@click.option(
    "-m", "--metadata-snap", "held", is_flag=True, help="Check the reserved metadata snapshot of a live pool."
)
@click.option("--auto-repair", is_flag=True, help="Mend leaks and wrong counts in the space maps, in place.")
@click.option("--clear-needs-check-flag", "clear", is_flag=True, help="Clear the flag needs_check if nothing is wrong.")
@click.option("--ignore-non-fatal-errors", "ignore", is_flag=True, help="Fail for fatal errors only.")
@click.option("--override-mapping-root", "mapping_root", type=_BLOCK, metavar="BLOCK", help="Use this mapping root.")
@click.option("--override-details-root", "details_root", type=_BLOCK, metavar="BLOCK", help="Use this details root.")
@click.option("--skip-mappings", is_flag=True, help="Check no mappings of devices.")
@click.option("--super-block-only", "superblock_only", is_flag=True, help="Check the superblock only.")
@json_option
def thin_check(
    file: str,
    *,
    quiet: bool,
    held: bool,
    auto_repair: bool,
    clear: bool,
    ignore: bool,
    mapping_root: int | None,
    details_root: int | None,
    skip_mappings: bool,
    superblock_only: bool,
    as_json: bool,
) -> None:
    """Check thin metadata: every node, mapping and reference count.

    INPUT is a metadata device or a copy of one. Prints the transaction and the free metadata blocks, and a line on
    stderr for each thing that is wrong: which block, what, expected and found, and which devices it hits. Nothing is
    changed, unless --auto-repair or --clear-needs-check-flag is given.

    \b
    Examples:
      drystone thin check /dev/vg/meta
      drystone thin check -m /dev/vg/meta
      drystone thin check --json metadata.img
    """
    from drystone.formats.thin.check import CheckOptions

    options = CheckOptions(held, superblock_only, skip_mappings, mapping_root, details_root)
    _refuse_together(options, auto_repair=auto_repair, clear=clear, ignore=ignore)
    with _open(file, write=auto_repair or clear, exclusive=not held) as device:
        report, changes = _check(device, options, auto_repair=auto_repair, clear=clear, ignore=ignore)
    sound = report.is_sound(ignore_mild=ignore)
    if as_json:
        print_json({"file": file, "sound": sound, **report.to_document(), "changes": changes})
    elif not quiet:
        _print_report(file, report, changes, repairing=auto_repair)
    if not sound:
        raise click.exceptions.Exit(1)


def _refuse_together(options: CheckOptions, *, auto_repair: bool, clear: bool, ignore: bool) -> None:
    """Refuse to change metadata of which less than the whole is checked, as thin_check does.

    :raises UsageError: two flags do not go together.
    """
    narrow = {
        "--metadata-snap": options.held,
        "--override-mapping-root": options.mapping_root is not None,
        "--override-details-root": options.details_root is not None,
    }
    narrower = {
        "--skip-mappings": options.skip_mappings,
        "--super-block-only": options.superblock_only,
        "--ignore-non-fatal-errors": ignore,
    }
    for flag, given, others in (
        ("--clear-needs-check-flag", clear, narrow),
        ("--auto-repair", auto_repair, {**narrow, **narrower}),
    ):
        for other, also in others.items():
            if given and also:
                raise UsageError(f"{flag} cannot be used with {other}")


@contextlib.contextmanager
def _open(file: str, *, write: bool, exclusive: bool) -> Iterator[BlockDevice]:
    from drystone.kernel.blockdev import open_device
    from drystone.kernel.identity import refuse_loops

    try:
        if write:
            refuse_loops(file)
        with open_device(file, write=write, exclusive=exclusive) as device:
            yield device
    except (DamagedError, UnsupportedError, ExhaustedError) as error:
        raise name_file(error, file) from error
    except BusyError as error:
        hint = "reserve a metadata snapshot of the active pool and check it with -m"
        raise BusyError(error.message, hint=hint, **error.facts) from error


def _check(
    device: BlockDevice, options: CheckOptions, *, auto_repair: bool, clear: bool, ignore: bool
) -> tuple[Report, list[str]]:
    """The report as it stands at the end, and what was changed."""
    from drystone.formats.thin.check import check_metadata

    changes: list[str] = []
    report = check_metadata(device, options)
    if auto_repair and not report.is_sound():
        from drystone.formats.thin.mend import MENDABLE, can_mend, mend_space_maps

        if can_mend(report):
            changes = [f"mended: {finding.describe()}" for finding in report.findings if finding.kind in MENDABLE]
            mend_space_maps(device, report)
            report = check_metadata(device, options)
    if clear and report.superblock and report.superblock.needs_check and report.is_sound(ignore_mild=ignore):
        from drystone.formats.thin.mend import clear_needs_check

        clear_needs_check(device)
        changes.append("cleared the flag needs_check")
        report.forget("needs-check")
    return report, changes


def _print_report(file: str, report: Report, changes: list[str], *, repairing: bool) -> None:
    from drystone.formats.thin.findings import Severity

    if report.superblock is not None:
        click.echo(f"TRANSACTION_ID={report.superblock.transaction_id}")
        click.echo(f"METADATA_FREE_BLOCKS={report.free_blocks}")
    lines = [f"thin_check: {file}: {change}" for change in changes]
    lines += [f"thin_check: {file}: {each.severity.value}: {each.describe()}" for each in report.findings]
    for line in lines[:MOST_LINES]:
        click.echo(line, err=True)
    if len(lines) > MOST_LINES:
        click.echo(f"thin_check: {file}: {len(lines) - MOST_LINES} more, which --json prints", err=True)
    fatal, mild = report.count(Severity.FATAL), report.count(Severity.MILD)
    if fatal or mild:
        advice = _advise(report, repairing)
        click.echo(f"thin_check: {file}: {fatal} fatal and {mild} non-fatal errors{advice}", err=True)


def _advise(report: Report, repairing: bool) -> str:
    from drystone.formats.thin.mend import can_mend

    if repairing:
        return "; nothing was changed"
    return "; --auto-repair mends them" if can_mend(report) else ""
