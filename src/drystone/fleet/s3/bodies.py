"""The documents that requests carry, read into values. S3Error(MalformedXML) is raised for what is none of the kind."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass

from drystone.fleet.objects import Conditions
from drystone.fleet.s3 import xml
from drystone.fleet.s3.checksums import SIZES, parse_checksum
from drystone.fleet.s3.errors import Code, S3Error
from drystone.fleet.s3.fields import check_lock, check_tags, read_etags
from drystone.fleet.s3.locks import MODES
from drystone.fleet.s3.numbers import parse_number
from drystone.fleet.s3.settings import DefaultLock

MAX_DELETES = 1000
MAX_BUCKET_TAGS = 50


@dataclass(frozen=True, slots=True)
class Removal:
    """One object of DeleteObjects."""

    key: str
    version_id: str | None
    conditions: Conditions


@dataclass(frozen=True, slots=True)
class Part:
    """One part of CompleteMultipartUpload. :ivar checksums: as they were stated, by algorithm."""

    number: int
    etag: str
    checksums: dict[str, str]


def read_deletion(body: bytes) -> tuple[tuple[Removal, ...], bool]:
    """What DeleteObjects removes, and whether only failures are to be answered."""
    root = xml.parse(body, "Delete")
    removals = tuple(_read_removal(node) for node in root.each("Object"))
    if not 1 <= len(removals) <= MAX_DELETES:
        raise S3Error(Code.MalformedXML, f"There must be 1 to {MAX_DELETES} objects.")
    return removals, root.find_text("Quiet").strip().lower() == "true"


def _read_removal(node: xml.Node) -> Removal:
    key = node.find_text("Key")
    if not key:
        raise S3Error(Code.MalformedXML)
    if node.find("LastModifiedTime") or node.find("Size"):
        raise S3Error(Code.NotImplemented, "Only the ETag is offered as a condition of a deletion.")
    return Removal(key, node.find_text("VersionId") or None, Conditions(if_match=read_etags(node.find_text("ETag"))))


def read_completion(body: bytes) -> tuple[Part, ...]:
    """The parts of which an object is made, in ascending order of their numbers.

    :raises S3Error: also InvalidPartOrder.
    """
    parts = tuple(_read_part(node) for node in xml.parse(body, "CompleteMultipartUpload").each("Part"))
    if not 1 <= len(parts) <= 10_000:
        raise S3Error(Code.MalformedXML)
    if any(left.number >= right.number for left, right in itertools.pairwise(parts)):
        raise S3Error(Code.InvalidPartOrder)
    return parts


def _read_part(node: xml.Node) -> Part:
    number = parse_number(node.find_text("PartNumber").strip())
    if number is None:
        raise S3Error(Code.MalformedXML)
    checksums = {name: node.find_text(f"Checksum{name.upper()}") for name in SIZES}
    for name, text in checksums.items():
        if text:
            parse_checksum(name, text)
    return Part(
        number,
        node.find_text("ETag").strip().strip('"'),
        {name: text for name, text in checksums.items() if text},
    )


def read_tagging(body: bytes, limit: int) -> dict[str, str]:
    """The tags of an object or a bucket. :raises S3Error: also InvalidTag."""
    root = xml.parse(body, "Tagging")
    found = root.find("TagSet")
    if found is None:
        raise S3Error(Code.MalformedXML)
    return check_tags([(node.find_text("Key"), node.find_text("Value")) for node in found.each("Tag")], limit)


def read_retention(body: bytes, now: float) -> dict[str, str]:
    """The retention of a version: "mode" and "until", or neither when it is taken away."""
    root = xml.parse(body, "Retention")
    if not root.children:
        return {}
    mode, until = root.find_text("Mode"), root.find_text("RetainUntilDate")
    if mode not in MODES or not until:
        raise S3Error(Code.MalformedXML)
    return check_lock(mode, until, now)


def read_legal_hold(body: bytes) -> str:
    """ON or OFF."""
    status = xml.parse(body, "LegalHold").find_text("Status")
    if status not in ("ON", "OFF"):
        raise S3Error(Code.MalformedXML)
    return status


def read_versioning(body: bytes) -> str:
    """Enabled or Suspended. :raises S3Error: also NotImplemented, for MFA delete."""
    root = xml.parse(body, "VersioningConfiguration")
    if root.find_text("MfaDelete") == "Enabled":
        raise S3Error(Code.NotImplemented, "MFA delete is not offered.")
    status = root.find_text("Status")
    if status not in ("Enabled", "Suspended"):
        raise S3Error(Code.MalformedXML)
    return status


def read_lock_configuration(body: bytes) -> DefaultLock:
    """The default retention of a bucket. :raises S3Error: also InvalidArgument."""
    root = xml.parse(body, "ObjectLockConfiguration")
    if root.find_text("ObjectLockEnabled") != "Enabled":
        raise S3Error(Code.MalformedXML)
    rule = root.find("Rule")
    if rule is None:
        return DefaultLock()
    mode = rule.find_text("DefaultRetention", "Mode")
    days, years = (rule.find_text("DefaultRetention", name) for name in ("Days", "Years"))
    if mode not in MODES or bool(days) == bool(years):
        raise S3Error(Code.MalformedXML)
    period = parse_number(days or years)
    if period is None or not 1 <= period <= (36_500 if days else 100):
        raise S3Error(Code.InvalidArgument, "The default retention period must be a positive integer value.")
    return DefaultLock(mode, days=period) if days else DefaultLock(mode, years=period)


def read_location(body: bytes) -> str:
    """The region that CreateBucket names, "" for none."""
    if not body.strip():
        return ""
    root = xml.parse(body, "CreateBucketConfiguration")
    return root.find_text("LocationConstraint").strip()


def check_acl(body: bytes, is_owner: Callable[[str], bool]) -> None:
    """Whether an ACL says what holds anyway: the owner alone, with full control.

    :param is_owner: whether an ID is the owner's. :raises S3Error: also NotImplemented.
    """
    root = xml.parse(body, "AccessControlPolicy")
    grants = root.find("AccessControlList")
    if grants is None:
        raise S3Error(Code.MalformedXML)
    for grant in grants.each("Grant"):
        if grant.find_text("Permission") != "FULL_CONTROL" or not is_owner(grant.find_text("Grantee", "ID")):
            raise S3Error(Code.NotImplemented, "ACLs other than private are not offered; use a bucket policy.")
