"""`drystone thin damage` and `drystone era damage`: every kind of damage to metadata, on purpose, to a copy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from drystone.base.errors import DamagedError, UsageError
from drystone.cli.output import HELP, Function, json_option, print_json, print_table

if TYPE_CHECKING:
    from drystone.testing.damage.kind import Named
    from drystone.testing.damage.table import Plan, Target


_HELP = """Damage a copy of {target} metadata on purpose: for drills of a repair, and for tests of checks.

FILE is a metadata device that is in no use, or a copy of one; it is only read. It must be sound. The same kind,
seed and FILE give the same damage. Checksums are put right where the damage is meant to lie deeper. All that was
changed, but such checksums, is printed; --json also tells which blocks a check may name for it.

\b
Examples:
  drystone {target} damage --list
  drystone {target} damage --list metadata.img
  drystone {target} damage --kind pointer-loop --seed 3 -o damaged.img metadata.img
  drystone {target} damage --flips 0.0001 --json -o damaged.img metadata.img
"""


def _make_command(target: Target) -> click.Command:
    def damage(**options: Any) -> None:
        _run(target, **options)

    return click.command("damage", context_settings=HELP, help=_HELP.format(target=target))(_damage_options(damage))


def _damage_options(function: Function) -> Function:
    """The flags and the argument of both."""
    options: list[Callable[[Function], Function]] = [
        click.argument("file", type=click.Path(), required=False),
        click.option("-o", "--output", type=click.Path(), metavar="COPY", help="The damaged copy; must be new."),
        click.option("-k", "--kind", metavar="KIND", help="Kind of damage, see --list."),
        click.option("--part", default="", metavar="PART", help="Only to a block of this part, see --list FILE."),
        click.option("--block", type=click.IntRange(min=0), metavar="N", help="Only to this metadata block."),
        click.option("--flips", type=float, metavar="RATE", help="Flip bits of blocks in use with this probability."),
        click.option("--seed", type=int, default=0, show_default=True, help="Another seed does it in another place."),
        click.option("--list", "listing", is_flag=True, help="List the kinds; with FILE, and where each fits there."),
        json_option,
    ]
    for option in reversed(options):
        function = option(function)
    return function


def _run(
    target: Target,
    file: str | None,
    *,
    output: str | None,
    kind: str | None,
    part: str,
    block: int | None,
    flips: float | None,
    seed: int,
    listing: bool,
    as_json: bool,
) -> None:
    """List the kinds, or damage a copy of `file` and print what was changed.

    :raises DrystoneError: arguments that do not go together, an output that exists, metadata that is damaged already.
    """
    if listing:
        _print_kinds(_list_kinds(target, file), with_places=file is not None, as_json=as_json)
        return
    if file is None or output is None or (kind is None) == (flips is None):
        raise UsageError("damage wants FILE, --output and one of --kind and --flips", hint="--list shows the kinds")
    if flips is not None and (part or block is not None):
        raise UsageError("--flips goes to any block in use: not with --part or --block")
    plan = _damage(target, file, Path(output), kind=kind, part=part, block=block, flips=flips, seed=seed)
    _print_plan(plan, file, output, as_json=as_json)


def _damage(
    target: Target,
    file: str,
    output: Path,
    *,
    kind: str | None,
    part: str,
    block: int | None,
    flips: float | None,
    seed: int,
) -> Plan:
    from drystone.kernel.blockdev import open_device
    from drystone.testing.damage.copy import write_damaged
    from drystone.testing.damage.table import find_kind, flip_bits, plan_damage

    if kind is not None:
        find_kind(target, kind)
    with open_device(file, exclusive=True) as device:
        try:
            if flips is not None:
                plan = flip_bits(target, device, rate=flips, seed=seed)
            else:
                plan = plan_damage(target, kind or "", device, seed=seed, part=part, block=block)
        except DamagedError as error:
            raise DamagedError(f"{file}: {error.message}", hint=error.hint, **error.facts) from error
        write_damaged(device, plan, output)
    return plan


def _list_kinds(target: Target, file: str | None) -> list[dict[str, Any]]:
    from drystone.kernel.blockdev import open_device
    from drystone.testing.damage.table import KINDS, READERS, list_places

    kinds = KINDS[target]
    if file is None:
        return [{"kind": each.name, "summary": each.summary} for each in kinds.values()]
    with open_device(file, exclusive=True) as device:
        anatomy = READERS[target](device)
    rows = []
    for each in kinds.values():
        places = list_places(anatomy, each)
        parts = sorted({site.part for site in places})
        rows.append({"kind": each.name, "summary": each.summary, "blocks": len(places), "parts": parts})
    return rows


def _print_kinds(rows: list[dict[str, Any]], *, with_places: bool, as_json: bool) -> None:
    if as_json:
        print_json(rows)
    elif with_places:
        cells = [[row["kind"], row["blocks"], ", ".join(row["parts"]) or "-"] for row in rows]
        print_table(["kind", "blocks", "parts"], cells)
    else:
        print_table(["kind", "what it does"], [[row["kind"], row["summary"]] for row in rows])


def _print_plan(plan: Plan, file: str, output: str, *, as_json: bool) -> None:
    if as_json:
        print_json(
            {
                "file": file,
                "output": output,
                "kind": plan.kind,
                "seed": plan.seed,
                "block": None if plan.block < 0 else plan.block,
                "part": plan.part,
                "bytes": plan.size,
                "blocks": list(plan.blocks),
                "changes": [asdict(each) for each in plan.changes],
                "named": [_spell(each) for each in plan.named],
            }
        )
        return
    for each in plan.changes:
        place = "file" if each.block < 0 else f"block {each.block} byte {each.offset}"
        click.echo(f"{output}: {place}: {each.what} is {each.after}, was {each.before}")


def _spell(named: Named) -> str:
    space, number = named
    return f"{space} block {number}" if space in {"metadata", "data"} else f"{space} {number}"


thin_damage = _make_command("thin")
era_damage = _make_command("era")
