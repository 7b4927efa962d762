"""`drystone backup key`: the passphrases and key files that open an encrypted repository."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from drystone.base.errors import UsageError
from drystone.cli.backup.opening import Access, access_options, ask_new_passphrase, can_ask, open_destination, warn
from drystone.cli.output import json_option, print_json, print_table

if TYPE_CHECKING:
    from drystone.backup.format.slot import Credential, Slot

_FILE = click.Path(dir_okay=False, path_type=Path)


@dataclass(frozen=True, slots=True)
class _New:
    """What a new slot is to have: the options of `_new_options`."""

    label: str | None
    passphrase_file: Path | None
    key_file: Path | None

    def credential(self, dest: str) -> Credential:
        """What opens it; a passphrase is asked for where no file was named."""
        from drystone.backup.credentials import find_credential

        found = find_credential({}, warn, passphrase_file=self.passphrase_file, key_file=self.key_file)
        if found is not None:
            return found
        if not can_ask():
            raise UsageError("there is no new passphrase", hint="give --new-passphrase-file or --new-key-file")
        return ask_new_passphrase(dest)


def _new_options(function: Callable[..., None]) -> Callable[..., None]:
    """The options, handed to the command as one value: the parameter `new`."""

    @functools.wraps(function)
    def call(
        *arguments: object,
        label: str | None,
        new_passphrase_file: Path | None,
        new_key_file: Path | None,
        **others: object,
    ) -> None:
        function(*arguments, new=_New(label, new_passphrase_file, new_key_file), **others)

    options = (
        click.option("--new-key-file", type=_FILE, metavar="FILE", help="The new key file: any 32 bytes or more."),
        click.option(
            "--new-passphrase-file",
            type=_FILE,
            metavar="FILE",
            help="Holds the new passphrase, in a line; else it is asked for on a terminal.",
        ),
        click.option("--label", metavar="TEXT", help="What it is called in the list: who has it, or where."),
    )
    for option in options:
        call = option(call)
    return call


@click.group()
def key() -> None:
    """The passphrases and key files that open an encrypted repository: each has a slot, and any one will do.

    All of them lead to the same master key. Who has had one may have kept that key: after a leak make a new
    repository. Without any of them nobody can restore; keep one, and a copy of the slots (`export`), elsewhere.

    \b
    Examples:
      drystone backup key list vfs:///srv/backup
      drystone backup key add vfs:///srv/backup --label safe --new-key-file /media/usb/key
      drystone backup key export vfs:///srv/backup -o /media/usb/slots.json
    """


@key.command("list")
@click.argument("dest")
@access_options
@json_option
def list_(dest: str, *, access: Access, as_json: bool) -> None:
    """List the key slots of the repository at DEST, oldest first.

    \b
    Example:
      drystone backup key list vfs:///srv/backup

    --json prints an array of objects: slot (UUID), label, created (RFC 3339), kind (passphrase or key-file).
    """
    from drystone.backup.key_slots import list_slots

    slots = list_slots(open_destination(dest, access).vault)
    if as_json:
        print_json([_describe(each) for each in slots])
    else:
        rows = [(each.created, _kind(each), each.label or "-", each.slot) for each in slots]
        print_table(("created", "kind", "label", "slot"), rows)


@key.command()
@click.argument("dest")
@_new_options
@access_options
@json_option
def add(dest: str, *, new: _New, access: Access, as_json: bool) -> None:
    """Add a passphrase or a key file to the repository at DEST; prints its slot.

    \b
    Example:
      drystone backup key add vfs:///srv/backup --label safe --new-key-file /media/usb/key
    """
    from drystone.backup.key_slots import add_slot

    vault = open_destination(dest, access).vault
    made = add_slot(vault, new.credential(dest), new.label or "")
    _print_slot(made, as_json=as_json)


@key.command()
@click.argument("dest")
@click.argument("slot")
@access_options
@json_option
def remove(dest: str, slot: str, *, access: Access, as_json: bool) -> None:
    """Remove a slot, named by its UUID, a beginning of it, or its label. The last one stays (exit code 13).

    \b
    Example:
      drystone backup key remove vfs:///srv/backup old-laptop
    """
    from drystone.backup.key_slots import remove_slot

    removed = remove_slot(open_destination(dest, access).vault, slot)
    if as_json:
        print_json(_describe(removed))


@key.command()
@click.argument("dest")
@_new_options
@access_options
@json_option
def change(dest: str, *, new: _New, access: Access, as_json: bool) -> None:
    """Put a new passphrase or key file in the place of the one that is given; prints the new slot.

    \b
    Example:
      drystone backup key change vfs:///srv/backup --passphrase-file old --new-passphrase-file new
    """
    from drystone.backup.key_slots import change_slot

    credential = access.credential()
    if credential is None:
        raise UsageError("which one is to be changed?", hint="give it: --passphrase-file FILE or --key-file FILE")
    vault = open_destination(dest, access).vault
    made = change_slot(vault, credential, new.credential(dest), label=new.label)
    _print_slot(made, as_json=as_json)


@key.command()
@click.argument("dest")
@click.option("-o", "--output", type=_FILE, metavar="FILE", help="Write there, not to stdout.")
@access_options
@json_option
def export(dest: str, *, output: Path | None, access: Access, as_json: bool) -> None:
    """Write a copy of all slots, for a place outside the repository. It is of no use without a passphrase or key file.

    The copy is JSON in any case.

    \b
    Example:
      drystone backup key export vfs:///srv/backup -o /media/usb/slots.json
    """
    from drystone.backup.key_copy import copy_slots
    from drystone.base.files import replace_file

    data = copy_slots(open_destination(dest, access).vault)
    if output is None:
        click.echo(data, nl=False)
        return
    replace_file(output, data)
    if as_json:
        print_json({"output": str(output)})


@key.command("import")
@click.argument("dest")
@click.argument("file", type=_FILE)
@json_option
def import_(dest: str, file: Path, *, as_json: bool) -> None:
    """Put the slots of a copy back into the repository at DEST that it was made of; prints those that were missing.

    \b
    Example:
      drystone backup key import vfs:///srv/backup /media/usb/slots.json
    """
    from drystone.backup.key_copy import LARGEST, put_slots_back
    from drystone.cli.input import read_input
    from drystone.store import open_store

    made = put_slots_back(open_store(dest), read_input(str(file), most=LARGEST))
    if as_json:
        print_json([_describe(each) for each in made])
    else:
        for each in made:
            click.echo(each.slot)


def _kind(slot: Slot) -> str:
    from drystone.backup.format.slot import FILE

    return "key-file" if slot.kdf == FILE else "passphrase"


def _describe(slot: Slot) -> dict[str, str]:
    return {"slot": slot.slot, "label": slot.label, "created": slot.created, "kind": _kind(slot)}


def _print_slot(slot: Slot, *, as_json: bool) -> None:
    if as_json:
        print_json(_describe(slot))
    else:
        click.echo(slot.slot)
