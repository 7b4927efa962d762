"""The tools that start without click when their command line is plain; a test holds this table to their commands.

They are those of which the start would be most of the time: checks of era metadata, lists, and differences that read
little. Others are free to join.
"""

from __future__ import annotations

from drystone.cli.tools.plain.thin_input import HELD, LIVE
from drystone.cli.tools.plain.words import PlainTool, take_number, take_one_of, take_text

_JSON = {"--json": ("as_json", True)}
_COMPAT = {"--compat": ("compat", take_one_of("0.9", "1"))}
_OUTPUT = {"-o": ("output", take_text), "--output": ("output", take_text)}
_ERA_HELD = {"-m": ("held", True), "--metadata-snapshot": ("held", True)}
_THIN_HELD = {"-m": ("snapshot", HELD), "--metadata-snap": ("snapshot", HELD)}

PLAIN = {
    "era_check": PlainTool(
        "drystone.cli.tools.plain.era_check:run_era_check",
        ("input",),
        {
            "-q": ("quiet", True),
            "--quiet": ("quiet", True),
            "--super-block-only": ("super_block_only", True),
            "--ignore-non-fatal-errors": ("ignore_non_fatal_errors", True),
            **_ERA_HELD,
            **_JSON,
        },
        {},
        {"quiet": False, "super_block_only": False, "ignore_non_fatal_errors": False, "held": False, "as_json": False},
    ),
    "era_invalidate": PlainTool(
        "drystone.cli.tools.plain.era_invalidate:run_era_invalidate",
        ("input",),
        {**_ERA_HELD, **_JSON},
        {
            "--written-since": ("since", take_number),
            "--format": ("form", take_one_of("xml", "json", "ranges")),
            **_OUTPUT,
            **_COMPAT,
        },
        {"output": None, "form": "xml", "compat": "1", "held": False, "as_json": False},
    ),
    "thin_ls": PlainTool(
        "drystone.cli.tools.plain.thin_ls:run_thin_ls",
        ("file",),
        {"--no-headers": ("no_headers", True), **_THIN_HELD, **_JSON},
        {"-o": ("fields", take_text), "--format": ("fields", take_text), **_COMPAT},
        {"fields": None, "snapshot": LIVE, "compat": "1", "no_headers": False, "as_json": False},
    ),
    "thin_delta": PlainTool(
        "drystone.cli.tools.plain.thin_delta:run_thin_delta",
        ("file",),
        {"--verbose": ("verbose", True), "--changed-only": ("changed_only", True), **_THIN_HELD, **_JSON},
        {
            "--thin1": ("thin1", take_number),
            "--snap1": ("thin1", take_number),
            "--thin2": ("thin2", take_number),
            "--snap2": ("thin2", take_number),
            "--root1": ("root1", take_number),
            "--root2": ("root2", take_number),
            **_OUTPUT,
            **_COMPAT,
        },
        {
            **dict.fromkeys(("thin1", "thin2", "root1", "root2", "output")),
            "snapshot": LIVE,
            "compat": "1",
            "verbose": False,
            "changed_only": False,
            "as_json": False,
        },
    ),
}
"""Name of the tool -> its command line."""
