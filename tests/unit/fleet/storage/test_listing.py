"""Listings of several placements: as if it were one."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from drystone.fleet.documents import Placement
from drystone.fleet.objects import ObjectInfo, Page
from drystone.fleet.storage.atlas import host_of
from drystone.fleet.storage.listing import merge, relevant

KEYS = st.sets(st.text(alphabet="ab/.-0", min_size=1, max_size=6), max_size=14)


def placement(host: str) -> Placement:
    return Placement(f"p{host}", "ns", host, host, "shared", 1, "s1", ())


def list_keys(keys: Sequence[str], prefix: str, delimiter: str, after: str, limit: int) -> Page:
    """A listing as S3 says it, of one set of keys."""
    rows: list[tuple[str, bool]] = []
    for key in sorted(keys):
        if not key.startswith(prefix):
            continue
        at = key.find(delimiter, len(prefix)) if delimiter else -1
        row = (key, False) if at < 0 else (key[: at + len(delimiter)], True)
        if row[0] > after and (not rows or rows[-1] != row):
            rows.append(row)
    taken = rows[:limit]
    return Page(
        tuple(ObjectInfo(name, 0, 0.0, "", "", 1) for name, is_prefix in taken if not is_prefix),
        tuple(name for name, is_prefix in taken if is_prefix),
        taken[-1][0] if len(rows) > limit else "",
    )


def list_merged(keys: set[str], prefix: str, delimiter: str, after: str, limit: int) -> Page:
    by_host: dict[str, list[str]] = {}
    for key in keys:
        by_host.setdefault(host_of(key), []).append(key)

    async def ask(one: Placement) -> Page:
        return list_keys(by_host[one.host], prefix, delimiter, after, limit)

    chosen = relevant([placement(host) for host in sorted(by_host)], prefix, after)
    return asyncio.run(merge(chosen, ask, limit, versions=False))


@given(
    KEYS, st.sampled_from(["", "a", "a/", "b/a", "-", "a.b/"]), st.sampled_from(["", "/", "-", "a"]), st.integers(1, 5)
)
def test_pages_of_placements_are_those_of_all_keys(keys: set[str], prefix: str, delimiter: str, limit: int) -> None:
    after = ""
    for _ in range(40):
        wanted = list_keys(sorted(keys), prefix, delimiter, after, limit)
        got = list_merged(keys, prefix, delimiter, after, limit)
        assert got == wanted
        after = wanted.after
        if not after:
            return
    raise AssertionError("it does not end")


def test_only_placements_that_can_have_such_keys_are_asked() -> None:
    placements = [placement(host) for host in ("", "a", "a.b", "ab", "b")]
    assert [each.host for each in relevant(placements, "a", "")] == ["", "a.b", "a", "ab"]
    assert [each.host for each in relevant(placements, "a/x", "")] == ["a"]
    assert [each.host for each in relevant(placements, "", "a/zzz")] == ["", "a", "ab", "b"]
