"""What a leader and the other members of a placement tell each other: a type a message, all below /internal/members.

A change comes as frames (storage/frames.py): a `Begin`, the bytes where there are any, and one of `Order`. The answer
is `Done`, sent when the change is durable there. A member that knows a newer epoch answers with its placement.
"""

from __future__ import annotations

import msgspec

from drystone.fleet.disk.changes import Change, Entry, PartRecord
from drystone.fleet.documents import Placement
from drystone.fleet.objects import UploadInfo


class _Document(msgspec.Struct, frozen=True):
    """What all have."""


class Begin(_Document, frozen=True):
    """A change begins. :ivar placement: as the sender knows it. :ivar size: bytes that will come, where known."""

    placement: Placement
    size: int | None = None
    body: bool = True


class _Order(_Document, frozen=True, tag_field="order"):
    """:ivar placement: as the leader knows it now: its epoch is the change's. A member that is behind takes it over."""

    placement: Placement


class Apply(_Order, frozen=True, tag="apply"):
    """Make a change durable at its place. :ivar floor: all changes with lower numbers have ended,
    so one of those that comes later was given up, and is refused."""

    change: Change
    floor: int = 0


class Assemble(_Order, frozen=True, tag="assemble"):
    """As Apply, with the bytes of the parts of an upload that the member has."""

    change: Change
    upload_id: str
    numbers: tuple[int, ...]
    floor: int = 0


class OpenUpload(_Order, frozen=True, tag="open-upload"):
    """An upload in parts began."""

    upload: UploadInfo


class KeepPart(_Order, frozen=True, tag="keep-part"):
    """The bytes are a part of an upload."""

    upload: UploadInfo
    part: PartRecord


class DropUpload(_Order, frozen=True, tag="drop-upload"):
    """An upload was completed or given up."""

    upload_id: str


Order = Apply | Assemble | OpenUpload | KeepPart | DropUpload


class Done(_Document, frozen=True):
    """The answer to an order. :ivar lacking: the parts are not here; the bytes must be sent."""

    lacking: bool = False


class Copying(_Document, frozen=True):
    """What one that is copying asks its leader.

    :ivar epoch: in which it copies. :ivar server: who asks. :ivar disk_id: of the disk that it copies to. A leader
        whose placement has another one there answers "elsewhere": where databases were lost, two may have made one
        epoch, with other members.
    """

    placement: str
    epoch: int
    server: str
    disk_id: str


class ComparePages(Copying, frozen=True):
    """POST /internal/members/compare: the next page. The answer: ComparedPage. :ivar after: the key to go on behind, ""
    to begin."""

    after: str
    limit: int


class CopyEnded(Copying, frozen=True):
    """POST /internal/members/ended: all was compared. The answer is the Placement as it is then."""


class Settle(Copying, frozen=True):
    """POST /internal/members/settle: keys of which we hold what a leader before it never acknowledged.
    The leader gives its own state of each a new version number and sends it to all members. The answer: {}.
    """

    keys: tuple[str, ...]


class HeldUpload(_Document, frozen=True):
    """An upload in parts that is under way, with its parts."""

    upload: UploadInfo
    parts: tuple[PartRecord, ...]


class FindUploads(Copying, frozen=True):
    """POST /internal/members/uploads. The answer: a list of HeldUpload."""


class SendUpload(Copying, frozen=True):
    """POST /internal/members/send-upload: to be told of an upload, and sent a part of it, as a change of the leader's.
    The answer is Done, once it was; lacking: the part is damaged there.

    :ivar number: of the part; 0 for the upload alone.
    """

    upload_id: str
    number: int


class Gather(_Document, frozen=True):
    """POST /internal/members/gather: put parts of an upload together, which an Assemble will name. Asked again until
    they are.

    :ivar placement: as the leader knows it.
    """

    placement: Placement
    upload_id: str
    numbers: tuple[int, ...]


class Gathered(_Document, frozen=True):
    """The answer. :ivar whole: they are together."""

    whole: bool


class Fetch(_Document, frozen=True):
    """POST /internal/members/fetch: bytes [begin, end) of a version; the answer: frames: an Entry, data, an empty {}.

    :ivar seq: exactly this one, None for whichever there is. :ivar end: -1 for the end. :ivar mend: have what is
        damaged mended by other members, and do not fail for it.
    """

    placement: str
    key: str
    version_id: str
    seq: int | None = None
    begin: int = 0
    end: int = -1
    mend: bool = False


class FindVersions(_Document, frozen=True):
    """POST /internal/members/versions: all versions of a key that a member has. The answer: list of Entry.

    :ivar known: the placement as the leader who asks knows it: who answers goes by that epoch from then on, and takes
        nothing of an earlier one any more. None: whatever the epoch.
    """

    placement: str
    key: str
    known: Placement | None = None


class Ask(_Document, frozen=True):
    """One promise that is asked for."""

    placement: str
    epoch: int


class AskPromises(_Document, frozen=True):
    """POST /internal/members/promise: do not lead these for two seconds."""

    leader: str
    asks: tuple[Ask, ...]


class Promises(_Document, frozen=True):
    """The answer. :ivar kept: promised. :ivar behind: ids whose epoch is not known here. :ivar newer: known better."""

    kept: tuple[str, ...] = ()
    behind: tuple[str, ...] = ()
    newer: tuple[Placement, ...] = ()


class FindPlacements(_Document, frozen=True):
    """POST /internal/members/placements: all of a namespace that the receiver knows. The answer: list of Placement."""

    namespace: str


class Learn(_Document, frozen=True):
    """POST /internal/members/learn: placements that the receiver is behind with. The answer: {}."""

    placements: tuple[Placement, ...]


Versions = list[Entry]
