"""Which devices are looked at: regular expressions on their paths, the first match wins.

For each path of a device the first filter that matches it decides. A device is looked at when any of its paths is
accepted, or when no filter matches any of them; it is left out when one is rejected and none accepted. Source of the
rule: lvm.conf(5), devices/filter.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import msgspec

from drystone.base.errors import UsageError


class Filter(msgspec.Struct, frozen=True):
    """Accept or reject paths in which `pattern` is found (anchors are the pattern's business)."""

    pattern: re.Pattern[str]
    is_accept: bool


class Verdict(msgspec.Struct, frozen=True):
    """Whether a device is looked at; `by`: the filter and the path that decided, "" when none matched."""

    is_accepted: bool
    by: str = ""


def make_filter(pattern: str, *, accept: bool, where: str) -> Filter:
    """:param where: where the pattern stands, for the message. :raises UsageError: no regular expression."""
    try:
        return Filter(re.compile(pattern), accept)
    except (re.error, OverflowError, RecursionError) as error:
        raise UsageError(f"{where}: {pattern!r} is no regular expression: {error}") from error


def judge(filters: Sequence[Filter], paths: Iterable[str]) -> Verdict:
    """What the filters say of a device with these paths."""
    rejected: Verdict | None = None
    for path in paths:
        for each in filters:
            if each.pattern.search(path):
                word = "accept" if each.is_accept else "reject"
                verdict = Verdict(each.is_accept, f"{word} {each.pattern.pattern!r} on {path}")
                if each.is_accept:
                    return verdict
                rejected = rejected or verdict
                break
    return rejected or Verdict(True)
