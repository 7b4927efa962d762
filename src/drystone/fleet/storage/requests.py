"""The calls of `Objects` as documents, for a server that passes one on to the leader: a type a call.

POST /internal/objects with one of these as JSON; the answer is that of the table ANSWERS. A put and a part come as
frames (storage/frames.py): the call, the data, a `BodyEnd`. A read is answered with the bytes themselves.
"""

from __future__ import annotations

from typing import Any

import msgspec

from drystone.fleet.objects import Conditions, ObjectInfo, Page, PartInfo, PutOptions, UploadInfo


class _Call(msgspec.Struct, frozen=True, tag_field="call"):
    """What all have. :ivar bucket: the namespace. :ivar key: within it; it says which placement is meant."""

    bucket: str
    key: str


class Put(_Call, frozen=True, tag="put"):
    """Objects.put."""

    options: PutOptions


class Head(_Call, frozen=True, tag="head"):
    """Objects.head."""

    version_id: str | None = None


class Read(_Call, frozen=True, tag="read"):
    """Objects.read."""

    info: ObjectInfo
    begin: int
    end: int


class Delete(_Call, frozen=True, tag="delete"):
    """Objects.delete."""

    version_id: str | None = None
    conditions: Conditions = Conditions()
    bypass: bool = False


class ListKeys(_Call, frozen=True, tag="list"):
    """A listing of one placement. :ivar key: names it, by any key of its host. The rest as Objects.list."""

    prefix: str
    delimiter: str
    after: str
    limit: int
    versions: bool = False


class Update(_Call, frozen=True, tag="update"):
    """Objects.update."""

    version_id: str | None
    changes: dict[str, dict[str, str]]
    seq: int | None = None


class BeginUpload(_Call, frozen=True, tag="begin-upload"):
    """Objects.begin_upload."""

    options: PutOptions


class PutPart(_Call, frozen=True, tag="put-part"):
    """Objects.put_part."""

    upload_id: str
    number: int
    options: PutOptions


class ListParts(_Call, frozen=True, tag="list-parts"):
    """Objects.list_parts."""

    upload_id: str


class ListUploads(_Call, frozen=True, tag="list-uploads"):
    """The uploads of one placement. :ivar key: names it, by any key of its host."""

    prefix: str


class CompleteUpload(_Call, frozen=True, tag="complete-upload"):
    """Objects.complete_upload."""

    upload_id: str
    parts: tuple[tuple[int, str], ...]
    options: PutOptions


class AbortUpload(_Call, frozen=True, tag="abort-upload"):
    """Objects.abort_upload."""

    upload_id: str


class BodyEnd(msgspec.Struct, frozen=True):
    """What follows a body: it came whole, and these checksums came with its last byte."""

    trailers: dict[str, str] = {}


Bodied = Put | PutPart
Plain = Head | Delete | ListKeys | Update | BeginUpload | ListParts | ListUploads | CompleteUpload | AbortUpload
Call = Bodied | Plain | Read
READS = (Head, ListKeys, ListParts, ListUploads)
"""Those that change nothing; a Read too, whose answer is a stream."""

ANSWERS: dict[type, Any] = {
    Put: ObjectInfo,
    PutPart: PartInfo,
    Head: ObjectInfo,
    Delete: ObjectInfo | None,
    ListKeys: Page,
    Update: ObjectInfo,
    BeginUpload: UploadInfo,
    ListParts: tuple[UploadInfo, tuple[PartInfo, ...]],
    ListUploads: tuple[UploadInfo, ...],
    CompleteUpload: ObjectInfo,
    AbortUpload: None,
}
"""What is answered to each; a Read is not among them."""
