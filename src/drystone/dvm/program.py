"""Programs: what will be done to device-mapper, as a value that can be printed, checked and run.

JSON:  {"version": 1, "devices": [{"name": "a", "uuid": "U"}], "instructions": [{"op": "suspend", "device": "a"}, ...]}
Text:  drystone.dvm.text. Both are described in docs/reference/programs.md.
"""

from __future__ import annotations

import msgspec

from drystone.base.documents import decode
from drystone.base.errors import UsageError
from drystone.dvm.instructions import AnyInstruction

VERSION = 1
"""The version of the document's schema that this code writes, and the only one that it reads."""


class Needed(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A device that has to be there before the program begins; with a uuid it has to be that very one."""

    name: str
    uuid: str = ""


class Program(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Instructions, run from the first one on, and the devices that they expect to find."""

    instructions: tuple[AnyInstruction, ...] = ()
    devices: tuple[Needed, ...] = ()
    version: int = VERSION

    @property
    def is_empty(self) -> bool:
        """Whether it does nothing at all."""
        return not self.instructions


def parse_program(data: bytes | str, what: str = "program") -> Program:
    """A program from its JSON text. Its sense is the business of `drystone.dvm.check`.

    :raises UsageError: no JSON, an unknown opcode or field, a value of a wrong kind; with the place.
    """
    program = decode(data, Program, what)
    if program.version != VERSION:
        raise UsageError(f"{what}: version {program.version} is not known", hint=f"this one reads version {VERSION}")
    return program
