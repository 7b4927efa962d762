"""What `era_invalidate` does."""

from __future__ import annotations

from drystone.cli.tools.plain.era_input import open_era
from drystone.cli.tools.streams import refuse_same, write_chunks


def run_era_invalidate(
    input: str,  # noqa: A002  # the name that the tool's help gives it
    since: int,
    output: str | None,
    form: str,
    compat: str,
    *,
    held: bool,
    as_json: bool,
) -> int:
    """Print the ranges; the exit code."""
    from drystone.formats.era.changed import iter_changed_runs
    from drystone.formats.era.invalidate import format_json, format_ranges, format_xml

    refuse_same(input, output)
    with open_era(input, held=held) as (device, superblock):
        ranges = iter_changed_runs(device, superblock, since)
        if as_json or form == "json":
            head = b'"written_since": %d, "current_era": %d, "nr_blocks": %d, "block_size": %d'
            facts = (since, superblock.current_era, superblock.nr_blocks, superblock.data_block_bytes)
            write_chunks(format_json(ranges, head % facts), output)
        elif form == "ranges":
            write_chunks(format_ranges(ranges), output)
        else:
            write_chunks(format_xml(ranges, old=compat == "0.9"), output)
    return 0
