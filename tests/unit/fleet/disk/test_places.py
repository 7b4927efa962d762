from __future__ import annotations

import msgspec
import pytest

from drystone.base.errors import UsageError
from drystone.fleet.disk import places
from drystone.testing.fleet.disk_world import placement

HOSTED = placement("d")
BARE = placement("d", host="")


@pytest.mark.parametrize(
    ("key", "place"),
    [
        ("h/a", "primary/h/a"),
        ("h/a/b c/ü", "primary/h/a/b c/ü"),
        ("h/a\\b\nc", "primary/h/a\\b\nc"),
        ("h/...", "primary/h/..."),
        ("h/" + "x" * 255, "primary/h/" + "x" * 255),
    ],
)
def test_a_key_that_a_file_system_can_hold_lies_where_people_find_it(key: str, place: str) -> None:
    assert places.plain_place(HOSTED, "primary", key) == place


@pytest.mark.parametrize(
    "key",
    [
        "h/",
        "h/a/",
        "h//a",
        "h/..",
        "h/../../etc/passwd",
        "h/./a",
        "h/a\0b",
        "h/" + "x" * 256,
        "h/" + "ü" * 128,
        "h/" + "abc/" * 900 + "x",
    ],
)
def test_other_keys_have_no_plain_place(key: str) -> None:
    assert places.plain_place(HOSTED, "primary", key) is None


def test_keys_without_a_host_lie_in_the_folder_of_their_namespace() -> None:
    assert places.plain_place(BARE, "secondary", "file") == "secondary/@ns/file"


@pytest.mark.parametrize("folder", ["..", ".", "", "a/b", "a\0", "x" * 256])
def test_a_folder_that_leads_elsewhere_is_never_used(folder: str) -> None:
    odd = msgspec.structs.replace(HOSTED, folder=folder)
    assert places.folder_of(odd, "primary") is None
    assert places.plain_place(odd, "primary", "h/a") is None


@pytest.mark.parametrize("key", ["h", "hh/a", "x/a", "H/a"])
def test_a_key_of_another_host_is_refused(key: str) -> None:
    with pytest.raises(UsageError, match="none of host"):
        places.plain_place(HOSTED, "primary", key)


def test_new_places_differ() -> None:
    assert len({places.new_place(places.TEMP) for _ in range(100)}) == 100
