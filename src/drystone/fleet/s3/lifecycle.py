"""Lifecycle rules: which versions of which objects are removed when. The S3 API reference, "Managing the lifecycle".

Offered: expiry of current versions by days or by date, of noncurrent versions by days (keeping some newer ones), of
delete markers that cover nothing, of uploads that were never completed; for keys by prefix, tags and size. Moves to
other storage classes are refused, as there are none. Rules are kept with the bucket as JSON.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import msgspec

from drystone.fleet.objects import ObjectInfo, UploadInfo
from drystone.fleet.s3 import xml
from drystone.fleet.s3.errors import Code, S3Error
from drystone.fleet.s3.fields import check_tags
from drystone.fleet.s3.moments import format_iso, parse_iso
from drystone.fleet.s3.numbers import parse_number

DAY = 86400
MAX_RULES = 1000
MAX_DAYS = 36_500


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A rule.

    :ivar days: after which a current version expires; 0 for never. :ivar date: seconds since 1970, instead of days.
    :ivar noncurrent_days: after which one that was replaced is removed; `newer` of the newest such are kept.
    :ivar markers: remove delete markers that cover nothing. :ivar abort_days: after which an upload is ended.
    :ivar larger: only objects of more bytes, :ivar smaller: of fewer; -1 for any.
    """

    id: str
    enabled: bool
    prefix: str = ""
    tags: dict[str, str] = {}
    larger: int = -1
    smaller: int = -1
    days: int = 0
    date: float = 0.0
    noncurrent_days: int = 0
    newer: int = 0
    markers: bool = False
    abort_days: int = 0

    def covers(self, info: ObjectInfo) -> bool:
        """Whether the rule is about this version."""
        return (
            self.enabled
            and info.key.startswith(self.prefix)
            and all(info.tags.get(key) == value for key, value in self.tags.items())
            and (self.larger < 0 or info.size > self.larger)
            and (self.smaller < 0 or info.size < self.smaller)
        )


def _malformed(message: str = "") -> S3Error:
    return S3Error(Code.MalformedXML, message)


def _number(node: xml.Node, name: str, least: int = 1, most: int = MAX_DAYS) -> int:
    text = node.find_text(name).strip()
    if not text:
        return 0
    found = parse_number(text)
    if found is None or not least <= found <= most:
        raise S3Error(Code.InvalidArgument, f"'{name}' for a lifecycle action must be a positive integer.")
    return found


def read_rules(body: bytes) -> tuple[Rule, ...]:
    """The rules of a LifecycleConfiguration.

    :raises S3Error: MalformedXML, InvalidArgument; NotImplemented for storage classes.
    """
    root = xml.parse(body, "LifecycleConfiguration")
    nodes = list(root.each("Rule"))
    if not 1 <= len(nodes) <= MAX_RULES or len(nodes) != len(root.children):
        raise _malformed(f"There must be 1 to {MAX_RULES} rules.")
    rules = tuple(_read_rule(node, f"rule-{number}") for number, node in enumerate(nodes, 1))
    if len({rule.id for rule in rules}) != len(rules):
        raise S3Error(Code.InvalidArgument, "Rule ID must be unique.")
    return rules


def _read_rule(node: xml.Node, name: str) -> Rule:
    known = {"ID", "Status", "Prefix", "Filter", "Expiration", "NoncurrentVersionExpiration"}
    known.add("AbortIncompleteMultipartUpload")
    for child in node.children:
        if child.name.endswith("Transition"):
            raise S3Error(Code.NotImplemented, "There are no other storage classes to move objects to.")
        if child.name not in known:
            raise _malformed()
    status, id_ = node.find_text("Status"), node.find_text("ID") or name
    if status not in ("Enabled", "Disabled"):
        raise _malformed()
    if len(id_) > 255:
        raise S3Error(Code.InvalidArgument, "ID length should not exceed allowed limit of 255.")
    rule = msgspec.structs.replace(_read_filter(node), id=id_, enabled=status == "Enabled")
    rule = _read_actions(node, rule)
    if not (rule.days or rule.date or rule.noncurrent_days or rule.markers or rule.abort_days):
        raise _malformed("At least one action needs to be specified in a rule.")
    if (rule.tags or rule.larger >= 0 or rule.smaller >= 0) and (rule.abort_days or rule.markers):
        raise _malformed("Uploads and delete markers have no tags and no size.")
    return rule


def _read_filter(node: xml.Node) -> Rule:
    if (node.find("Prefix") is None) == (node.find("Filter") is None):
        raise _malformed("A rule has a Filter or a Prefix.")
    place = node.find("Filter") or node
    place = place.find("And") or place
    tags = [(each.find_text("Key"), each.find_text("Value")) for each in place.each("Tag")]
    larger, smaller = (
        _number(place, name, 0, 1 << 50) if place.find(name) else -1
        for name in ("ObjectSizeGreaterThan", "ObjectSizeLessThan")
    )
    return Rule("", False, place.find_text("Prefix"), check_tags(tags), larger, smaller)


def _read_actions(node: xml.Node, rule: Rule) -> Rule:
    expiration = node.find("Expiration") or xml.Node("Expiration")
    if len(expiration.children) > 1:
        raise _malformed("An Expiration has one of Days, Date and ExpiredObjectDeleteMarker.")
    date = expiration.find_text("Date")
    try:
        moment = parse_iso(date) if date else 0.0
    except ValueError as error:
        raise _malformed() from error
    if moment % DAY:
        raise S3Error(Code.InvalidArgument, "'Date' must be at midnight GMT.")
    noncurrent = node.find("NoncurrentVersionExpiration") or xml.Node("")
    if noncurrent.children and not noncurrent.find("NoncurrentDays"):
        raise _malformed()
    abort = node.find("AbortIncompleteMultipartUpload") or xml.Node("")
    return msgspec.structs.replace(
        rule,
        days=_number(expiration, "Days"),
        date=moment,
        markers=expiration.find_text("ExpiredObjectDeleteMarker").strip().lower() == "true",
        noncurrent_days=_number(noncurrent, "NoncurrentDays"),
        newer=_number(noncurrent, "NewerNoncurrentVersions", 1, 100),
        abort_days=_number(abort, "DaysAfterInitiation"),
    )


def rule_elements(rules: Iterable[Rule]) -> list[tuple[str, xml.Value]]:
    """The rules as elements of a LifecycleConfiguration."""
    return [("Rule", _rule_element(rule)) for rule in rules]


def _rule_element(rule: Rule) -> list[tuple[str, xml.Value]]:
    parts: list[tuple[str, xml.Value]] = [("Prefix", rule.prefix)] if rule.prefix else []
    parts += [("Tag", [("Key", key), ("Value", value)]) for key, value in rule.tags.items()]
    parts += [("ObjectSizeGreaterThan", rule.larger)] if rule.larger >= 0 else []
    parts += [("ObjectSizeLessThan", rule.smaller)] if rule.smaller >= 0 else []
    answer: list[tuple[str, xml.Value]] = [
        ("ID", rule.id),
        ("Filter", [("And", parts)] if len(parts) > 1 else parts or [("Prefix", "")]),
        ("Status", "Enabled" if rule.enabled else "Disabled"),
    ]
    if rule.days:
        answer.append(("Expiration", [("Days", rule.days)]))
    elif rule.date:
        answer.append(("Expiration", [("Date", format_iso(rule.date))]))
    elif rule.markers:
        answer.append(("Expiration", [("ExpiredObjectDeleteMarker", True)]))
    if rule.noncurrent_days:
        newer = rule.newer or None
        elements = [("NoncurrentDays", rule.noncurrent_days), ("NewerNoncurrentVersions", newer)]
        answer.append(("NoncurrentVersionExpiration", elements))
    if rule.abort_days:
        answer.append(("AbortIncompleteMultipartUpload", [("DaysAfterInitiation", rule.abort_days)]))
    return answer


def pack_rules(rules: tuple[Rule, ...]) -> str:
    """The rules as the bucket's setting."""
    return msgspec.json.encode(rules).decode()


def unpack_rules(text: str) -> tuple[Rule, ...]:
    """The rules of a bucket's setting, none for ""."""
    return msgspec.json.decode(text, type=tuple[Rule, ...]) if text else ()


def due(since: float, days: int) -> float:
    """When something that began `since` expires: at the first midnight (UTC) that is `days` later.

    Both in seconds since 1970.
    """
    return -(-(since + days * DAY) // DAY) * DAY


@dataclass(frozen=True, slots=True)
class Expiry:
    """Something to remove. :ivar kind: the current version of a key, or the one version that `info` is."""

    kind: Literal["current", "version"]
    info: ObjectInfo


def find_expired(rules: Sequence[Rule], versions: Sequence[ObjectInfo], now: float) -> list[Expiry]:
    """What is to be removed of one key.

    :param versions: all of the key, the newest first. :param now: seconds since 1970.
    """
    if not versions:
        return []
    latest, found = versions[0], []
    if latest.delete_marker:
        lone = len(versions) == 1
        if lone and any(rule.covers(latest) and _marker_expires(rule, latest, now) for rule in rules):
            found.append(Expiry("version", latest))
    elif any(rule.covers(latest) and _current_expires(rule, latest, now) for rule in rules):
        found.append(Expiry("current", latest))
    for index, info in enumerate(versions[1:]):
        replaced = versions[index].modified
        for rule in rules:
            removes = rule.noncurrent_days and index >= rule.newer and rule.covers(info)
            if removes and due(replaced, rule.noncurrent_days) <= now:
                found.append(Expiry("version", info))
                break
    return found


def _current_expires(rule: Rule, info: ObjectInfo, now: float) -> bool:
    if rule.days:
        return due(info.modified, rule.days) <= now
    return bool(rule.date) and rule.date <= now


def _marker_expires(rule: Rule, info: ObjectInfo, now: float) -> bool:
    return rule.markers or (bool(rule.days) and due(info.modified, rule.days) <= now)


def upload_expires(rules: Iterable[Rule], upload: UploadInfo, now: float) -> bool:
    """Whether an upload is to be ended."""
    return any(
        rule.enabled
        and rule.abort_days
        and upload.key.startswith(rule.prefix)
        and due(upload.begun, rule.abort_days) <= now
        for rule in rules
    )
