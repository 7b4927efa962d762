"""The instructions of programs: a type an opcode, and what each can do to the machine.

Devices are named by their names in the document; the executor turns them into major:minor. Offsets and lengths of
`write` are bytes, tables are in sectors. docs/reference/programs.md describes every field.

`insist`: run also while a failure is pending, try again a few times, and when it fails for good note it under `left`
and go on. Unwinding is made of insisting instructions, and so is what follows the point of no return.
"""

from __future__ import annotations

from typing import Any, Literal, TypeVar

import msgspec

from drystone.dvm.state import Line


class Instruction(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, tag_field="op"):
    """What all opcodes share."""

    @property
    def op(self) -> str:
        """The opcode."""
        tag = self.__struct_config__.tag
        assert isinstance(tag, str)
        return tag


class Reading(Instruction, frozen=True):
    """An instruction that asks, and puts the answer into the result under its opcode."""


class OnDevice(Instruction, frozen=True):
    """An instruction about one device-mapper device."""

    device: str


class ReadingDevice(OnDevice, Reading, frozen=True):
    """A question about one device."""


class Version(Reading, frozen=True, tag="version"):
    """Collect the version of the ioctl interface: `[4, 47, 0]`."""


class TargetVersions(Reading, frozen=True, tag="target-versions"):
    """Collect the loaded target types: `{"linear": [1, 4, 0], ...}`."""


class Deps(ReadingDevice, frozen=True, tag="deps"):
    """Collect the devices that the live table uses: `["7:0", ...]`."""


class Status(ReadingDevice, frozen=True, tag="status"):
    """Collect the status of every target; `no_flush`: a thin pool does not commit first."""

    no_flush: bool = False


class Table(ReadingDevice, frozen=True, tag="table"):
    """Collect the live table, or the inactive one."""

    inactive: bool = False


class Info(ReadingDevice, frozen=True, tag="info"):
    """Collect what the kernel says of the device."""


class Wait(ReadingDevice, frozen=True, tag="wait"):
    """Wait until the device's event counter is past `event_nr`; collects the new one."""

    event_nr: int


class Create(OnDevice, frozen=True, tag="create"):
    """Make a device without a table."""

    uuid: str = ""
    insist: bool = False


class Remove(OnDevice, frozen=True, tag="remove"):
    """Remove a device. While it is open the executor tries again for a bounded time."""

    insist: bool = False


class Rename(OnDevice, frozen=True, tag="rename"):
    """Give the device the name `to`, by which later instructions name it."""

    to: str
    insist: bool = False


class Suspend(OnDevice, frozen=True, tag="suspend"):
    """Hold input and output. `no_flush`: do not wait for what is in flight; `lock_fs`: freeze a file system first."""

    no_flush: bool = False
    lock_fs: bool = True
    insist: bool = False


class Resume(OnDevice, frozen=True, tag="resume"):
    """Swap in the inactive table if there is one, and let input and output go on."""

    insist: bool = False


class Load(OnDevice, frozen=True, tag="load"):
    """Put a table into the inactive slot. `{name}` in parameters becomes major:minor when it runs."""

    table: tuple[Line, ...]
    read_only: bool = False
    insist: bool = False


class Clear(OnDevice, frozen=True, tag="clear"):
    """Empty the inactive slot."""

    insist: bool = False


class Message(OnDevice, frozen=True, tag="message"):
    """Send `text` to the target at `sector`.

    :ivar leftover: of `delete ID` to a thin pool: the id is what an interrupted run left, nobody's data. The check
        allows it only where `create_thin ID` or `create_snap ID ...` has just failed with EEXIST, and the pool has
        answered `set_transaction_id N N` since.
    """

    text: str
    sector: int = 0
    leftover: bool = False
    insist: bool = False


class Write(Instruction, frozen=True, tag="write"):
    """Write bytes, given as hex digits, at byte `offset` of the block device or file at the path `device`."""

    device: str
    offset: int
    hex: str
    insist: bool = False

    @property
    def data(self) -> bytes:
        """The bytes."""
        return bytes.fromhex(self.hex)


class Flush(Instruction, frozen=True, tag="flush"):
    """Make what was written to the path `device` durable (fdatasync)."""

    device: str
    insist: bool = False


class Commit(Instruction, frozen=True, tag="commit"):
    """Write one sector of 512 bytes and flush: the moment from which the new state is the true one."""

    device: str
    offset: int
    hex: str

    @property
    def data(self) -> bytes:
        """The bytes."""
        return bytes.fromhex(self.hex)


class Jmp(Instruction, frozen=True, tag="jmp"):
    """Go on at `label`."""

    label: str


class JmpFail(Instruction, frozen=True, tag="jmp-fail"):
    """Go on at `label` when a failure is pending. It stays pending."""

    label: str


class JmpErrno(Instruction, frozen=True, tag="jmp-errno"):
    """Go on at `label` when the pending failure has the name `errno`, such as ENODATA."""

    errno: str
    label: str


class ClearFail(Instruction, frozen=True, tag="clear-fail"):
    """Forget the pending failure."""


class Label(Instruction, frozen=True, tag="label"):
    """A place to jump to, from above only."""

    label: str


class Exit(Instruction, frozen=True, tag="exit"):
    """End the program with this outcome."""

    outcome: Literal["done", "unwound", "failed"] = "done"


class Begin(Instruction, frozen=True, tag="begin"):
    """Open an object under `key` in the collected document; what follows goes into it."""

    key: str


class End(Instruction, frozen=True, tag="end"):
    """Close the object that the last open `begin` opened."""


class LiteralValue(Instruction, frozen=True, tag="literal"):
    """Put a JSON value under `key` in the collected document."""

    key: str
    value: Any = None


class Note(Instruction, frozen=True, tag="note"):
    """A remark for people, on one line; it does nothing."""

    text: str


AnyInstruction = (
    Version
    | TargetVersions
    | Deps
    | Status
    | Table
    | Info
    | Wait
    | Create
    | Remove
    | Rename
    | Suspend
    | Resume
    | Load
    | Clear
    | Message
    | Write
    | Flush
    | Commit
    | Jmp
    | JmpFail
    | JmpErrno
    | ClearFail
    | Label
    | Exit
    | Begin
    | End
    | LiteralValue
    | Note
)
"""Every opcode."""

Changing = Create | Remove | Rename | Suspend | Resume | Load | Clear | Message | Write | Flush | Commit
"""Those that change the machine; all of them can fail."""

Any_ = TypeVar("Any_", bound=Changing)


def insisting(instruction: Any_) -> Any_:
    """The same instruction, insisting.

    :raises TypeError: it is a commit, which is tried once.
    """
    return msgspec.structs.replace(instruction, insist=True)
