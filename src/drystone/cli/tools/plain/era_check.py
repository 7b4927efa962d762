"""What `era_check` does."""

from __future__ import annotations

from drystone.cli.output import print_json, print_line
from drystone.cli.tools.plain.era_input import open_metadata


def run_era_check(
    input: str,  # noqa: A002  # the name that the tool's help gives it
    *,
    quiet: bool,
    super_block_only: bool,
    ignore_non_fatal_errors: bool,
    held: bool,
    as_json: bool,
) -> int:
    """Check and print; the exit code."""
    from drystone.formats.era.check import check_metadata, check_superblock

    with open_metadata(input, exclusive=not held) as device:
        report = (check_superblock if super_block_only else check_metadata)(device, held=held)
    sound = report.is_sound(ignore_remarks=ignore_non_fatal_errors)
    if as_json:
        print_json({"input": input, **report.to_document()})
    elif not quiet:
        for damage in report.errors:
            print_line(f"era_check: {input}: {damage.describe()}", err=True)
        for damage in report.remarks:
            print_line(f"era_check: {input}: non-fatal: {damage.describe()}", err=True)
        for damage in report.notes:
            print_line(f"era_check: {input}: note: {damage.describe()}", err=True)
        if sound and report.superblock is not None:
            superblock = report.superblock
            print_line(f"{input}: sound; {superblock.nr_blocks} blocks, current era {superblock.current_era}")
    return 0 if sound else 1
