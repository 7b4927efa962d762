from __future__ import annotations

import pytest

from drystone.base.errors import NotFoundError, UsageError
from drystone.base.names import check_name, find_by_reference, new_uuid

A, B = "aaaa1111-0000-4000-8000-000000000000", "aaaa2222-0000-4000-8000-000000000000"
ENTRIES = [(A, "vol1"), (B, "vol10")]


@pytest.mark.parametrize("name", ["db", "0a", "a_b.c-d", "X" * 100])
def test_good_names_come_back(name: str) -> None:
    assert check_name(name) == name


@pytest.mark.parametrize("name", ["", "a", "-a", ".hidden", "a b", "a/b", "ab\n", "ä1", "../x", "X" * 101])
def test_bad_names_are_refused(name: str) -> None:
    with pytest.raises(UsageError):
        check_name(name)


@pytest.mark.parametrize(("reference", "uuid"), [(A, A), ("vol1", A), ("vol10", B), ("aaaa2", B)])
def test_a_reference_is_a_uuid_a_name_or_a_beginning(reference: str, uuid: str) -> None:
    assert find_by_reference(reference, ENTRIES, "volume") == uuid


def test_a_name_wins_over_the_beginning_of_another_uuid() -> None:
    assert find_by_reference("aaaa1", [*ENTRIES, ("cccc", "aaaa1")], "volume") == "cccc"


def test_a_shared_beginning_is_refused() -> None:
    with pytest.raises(UsageError, match="beginning of 2 volumes"):
        find_by_reference("aaaa", ENTRIES, "volume")


def test_no_reference_at_all_is_refused() -> None:
    with pytest.raises(UsageError, match="not named"):
        find_by_reference("", ENTRIES, "volume")


def test_what_matches_nothing_is_not_found() -> None:
    with pytest.raises(NotFoundError, match="no volume 'vol'"):
        find_by_reference("vol", ENTRIES, "volume")


def test_uuids_are_36_characters_and_differ() -> None:
    assert len(new_uuid()) == 36
    assert new_uuid() != new_uuid()


def test_a_name_that_several_may_have_is_refused_when_they_do() -> None:
    entries = [*ENTRIES, ("cccc", "vol1")]
    assert find_by_reference("vol1", entries, "volume") == A
    assert find_by_reference("vol10", entries, "key slot", shared=True) == B
    with pytest.raises(UsageError, match="2 key slots are called 'vol1'"):
        find_by_reference("vol1", entries, "key slot", shared=True)
