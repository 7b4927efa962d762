"""`dvm replicate`: one run of bytes in many regions, replaced by transactions."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from drystone.base.errors import UsageError
from drystone.cli.dvm.tool import Tool, errors_as_json, print_document
from drystone.cli.input import name_input, read_input
from drystone.cli.output import HELP, print_table

if TYPE_CHECKING:
    from drystone.dvm.replication.documents import Status, Transaction
    from drystone.dvm.replication.regions import Region, RegionDevice

text_option = click.option("--text", is_flag=True, help="A table for people instead of JSON.")


@click.group(context_settings=HELP)
def replicate() -> None:
    """Keep the same bytes in many regions: all of them hold the old ones, or all hold the new ones.

    REGIONS is a file ("-" is stdin): [{"path": "/dev/sda", "begin": 1, "end": 257}, ...], in pages of 4096 bytes, END
    exclusive. Devices and plain files alike. A region that is lost or fails is left out of it.

    \b
    Examples:
      dvm replicate format regions.json                make the regions
      dvm replicate prepare regions.json new.json      write what comes next
      dvm replicate commit regions.json                make it the data; or: abort
      dvm replicate read regions.json now.json         get the data
      dvm replicate status regions.json                what does each region hold?
      dvm replicate recover regions.json               after a crash
    """


@replicate.command("format", cls=Tool)
@errors_as_json
@click.option("--group", metavar="UUID", help="The group's UUID; a new one unless given.")
@click.option("--keep", type=click.IntRange(2, 31), help="Versions that stay readable (8).")
@click.option("--from", "others", metavar="REGIONS", help="Make them further regions of this group, with its versions.")
@click.option("--force", is_flag=True, help="Also over regions that hold something already: it is lost.")
@click.argument("regions")
def format_(regions: str, group: str | None, keep: int | None, others: str | None, force: bool) -> None:
    """Make REGIONS those of a new group, with no data; or with --from further ones of a group that is there.

    \b
    Example:
      dvm replicate format regions.json --keep 16
    """
    from uuid import UUID, uuid4

    from drystone.dvm.replication import replicate as engine
    from drystone.dvm.replication.documents import Outcome

    if others is not None:
        if group is not None:
            raise UsageError("--group and --from exclude each other", hint="it is the group of those regions")
        if others == regions:
            raise UsageError("new regions cannot be made from themselves", hint="name two files")
        there, new = _parse(others), _parse(regions)
        with _opened([*there, *new], write=True) as devices:
            made = engine.add_regions(devices[: len(there)], devices[len(there) :], keep=keep, force=force)
    else:
        try:
            uuid = UUID(group) if group is not None else uuid4()
        except ValueError as error:
            raise UsageError(f"{group!r} is no UUID", hint="uuidgen makes one") from error
        with _opened(_parse(regions), write=True) as devices:
            made = engine.format_regions(devices, group=uuid, keep=engine.KEEP if keep is None else keep, force=force)
    print_document(Outcome(operation="format", transaction=made))


@replicate.command(cls=Tool)
@errors_as_json
@click.option("--parent", metavar="HASH", help="Hash of what SOURCE was made from; refuse if it moved on.")
@click.argument("regions")
@click.argument("source")
def prepare(regions: str, source: str, parent: str | None) -> None:
    """Write the bytes of SOURCE (a file, or "-") to all REGIONS as what comes next. Then commit or abort.

    \b
    Example:
      dvm replicate prepare regions.json new.json --parent $(jq -r .transaction.hash read.json)
    """
    from drystone.dvm.replication import replicate as engine
    from drystone.dvm.replication.documents import Outcome
    from drystone.formats.region.layout import LONGEST_DATA

    if regions == source == "-":
        raise UsageError("stdin cannot hold both REGIONS and SOURCE", hint="name a file for one of them")
    data = read_input(source, most=LONGEST_DATA, may_be_empty=True)
    with _opened(_parse(regions), write=True) as devices:
        print_document(Outcome(operation="prepare", transaction=engine.prepare(devices, data, parent=parent)))


@replicate.command(cls=Tool)
@errors_as_json
@click.argument("regions")
def commit(regions: str) -> None:
    """Make what is prepared the data, on all REGIONS.

    \b
    Example:
      dvm replicate commit regions.json
    """
    _end(regions, "commit")


@replicate.command(cls=Tool)
@errors_as_json
@click.argument("regions")
def abort(regions: str) -> None:
    """Give up what is prepared, on all REGIONS; print what stays.

    \b
    Example:
      dvm replicate abort regions.json
    """
    _end(regions, "abort")


@replicate.command(cls=Tool)
@errors_as_json
@click.option("--sequence", type=click.IntRange(min=0), metavar="N", help="An older version that is kept; see history.")
@click.argument("regions")
@click.argument("dest")
def read(regions: str, dest: str, sequence: int | None) -> None:
    """Put the data into the file DEST, and print which transaction they are of. With "-" stdout gets the data alone.

    \b
    Examples:
      dvm replicate read regions.json now.json
      dvm replicate read regions.json - --sequence 3
    """
    from drystone.base.files import replace_file, write_all
    from drystone.dvm.replication import replicate as engine
    from drystone.dvm.replication.documents import Outcome

    with _opened(_parse(regions)) as devices:
        found = engine.read(devices, sequence)
    if dest == "-":
        sys.stdout.flush()
        write_all(sys.stdout.fileno(), found.data)
        return
    replace_file(Path(dest), found.data)
    print_document(Outcome(operation="read", transaction=found.transaction))


@replicate.command(cls=Tool)
@errors_as_json
@text_option
@click.argument("regions")
def status(regions: str, text: bool) -> None:
    """Print what each of REGIONS holds, and whether they agree. Devices that are missing are told, too.

    \b
    Example:
      dvm replicate status regions.json --text
    """
    from drystone.dvm.replication import replicate as engine

    with _opened(_parse(regions), tolerant=True) as devices:
        _print_status(engine.status(devices), text=text)


@replicate.command(cls=Tool)
@errors_as_json
@text_option
@click.argument("regions")
def recover(regions: str, text: bool) -> None:
    """Bring REGIONS together after a crash: if one of them has committed, all do; if none has, none does.

    What is behind, and is shown by hashes to be of the same past, gets what it lacks. A fork is refused.

    \b
    Example:
      dvm replicate recover regions.json --text
    """
    from drystone.dvm.replication import replicate as engine

    with _opened(_parse(regions), write=True) as devices:
        _print_status(engine.recover(devices), text=text)


@replicate.command(cls=Tool)
@errors_as_json
@text_option
@click.argument("regions")
def history(regions: str, text: bool) -> None:
    """Print the transactions whose data can be read, newest first.

    \b
    Example:
      dvm replicate history regions.json --text
    """
    from drystone.dvm.replication import replicate as engine
    from drystone.dvm.replication.documents import History

    with _opened(_parse(regions)) as devices:
        found = engine.history(devices)
    if text:
        print_table(
            ("sequence", "bytes", "hash"), [(str(each.sequence), str(each.length), each.hash) for each in found]
        )
    else:
        print_document(History(transactions=found))


def _end(regions: str, operation: Literal["commit", "abort"]) -> None:
    """The second phase, either way."""
    from drystone.dvm.replication import replicate as engine
    from drystone.dvm.replication.documents import Outcome

    act = engine.commit if operation == "commit" else engine.abort
    with _opened(_parse(regions), write=True) as devices:
        print_document(Outcome(operation=operation, transaction=act(devices)))


def _parse(file: str) -> tuple[Region, ...]:
    from drystone.dvm.replication.regions import parse_regions

    return parse_regions(read_input(file), f"regions ({name_input(file)})")


@contextlib.contextmanager
def _opened(
    regions: Sequence[Region], *, write: bool = False, tolerant: bool = False
) -> Iterator[Sequence[RegionDevice]]:
    """Regions, open, and locked against other commands."""
    from drystone.dvm.replication.regions import open_regions
    from drystone.kernel.pages import locked_paths

    with (
        locked_paths([region.path for region in regions], shared=not write),
        open_regions(regions, write=write, tolerant=tolerant) as devices,
    ):
        yield devices


def _print_status(found: Status, *, text: bool) -> None:
    if not text:
        print_document(found)
        return
    print_table(
        ("region", "state", "at", "next", "versions", "pages", "problem"),
        [
            (
                each.name,
                each.state,
                _tell(each.committed),
                _tell(each.next),
                str(each.versions),
                f"{each.used_pages}/{each.pages}",
                each.problem,
            )
            for each in found.regions
        ],
    )
    click.echo(f"{found.agreement}{': ' if found.problem else ''}{found.problem}")
    if found.hint:
        click.echo(f"hint: {found.hint}")


def _tell(transaction: Transaction | None) -> str:
    return f"{transaction.sequence} ({transaction.hash[:8]})" if transaction else ""
