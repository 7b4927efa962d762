"""What `dvm replicate status` does."""

from __future__ import annotations

from drystone.cli.dvm.documents import print_document
from drystone.cli.input import name_input, read_input


def status(regions: str) -> None:
    """Print what each region holds, and whether they agree."""
    from drystone.dvm.replication.regions import open_regions, parse_regions
    from drystone.dvm.replication.replicate import status as look
    from drystone.kernel.pages import locked_paths

    named = parse_regions(read_input(regions), f"regions ({name_input(regions)})")
    with (
        locked_paths([region.path for region in named], shared=True),
        open_regions(named, tolerant=True) as devices,
    ):
        print_document(look(devices))
