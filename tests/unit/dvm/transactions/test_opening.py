"""What is looked at when a group's regions are opened: labels once, old versions when somebody needs them."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import msgspec
import pytest

from drystone.base.errors import BusyError, DamagedError, MismatchError
from drystone.cli.dvm.plain.groups import open_group
from drystone.dvm.metadata.create import Wish, create
from drystone.dvm.replication.regions import open_regions
from drystone.dvm.replication.replicate import history, status
from drystone.dvm.transactions import transact
from drystone.dvm.transactions.opening import opened
from drystone.dvm.transactions.survey import require_complete
from drystone.kernel.pages import PAGE, locked_paths
from drystone.testing.live_groups import NOW, FileGroup

MIB = 1 << 20


@pytest.fixture
def world(tmp_path: Path) -> FileGroup:
    world = FileGroup(tmp_path)
    for number in range(3):
        world.update(lambda group, number=number: create(group, Wish(f"v{number}", MIB), world.ids))  # type: ignore[misc]
    return world


def spoil_old_table(world: FileGroup, at: int) -> None:
    """Damage a page that an older version needs, and the newest one does not."""
    with opened(world.devices()) as survey:
        region = survey.standings[at].seat.region
    for page in range(region.begin + 1, region.end):
        with Path(region.path).open("r+b") as file:
            file.seek(page * PAGE)
            before = file.read(PAGE)
            if not any(before):
                break
            file.seek(page * PAGE)
            file.write(bytes(PAGE))
        with opened(world.devices()) as close, opened(world.devices(), closely=False) as quick:
            states = (close.standings[at].status.state, quick.standings[at].status.state)
        if states == ("damaged", "clean"):
            return
        with Path(region.path).open("r+b") as file:
            file.seek(page * PAGE)
            file.write(before)
    raise AssertionError("no page is of older versions alone")


def test_the_newest_version_is_read_beside_a_damaged_older_one(world: FileGroup) -> None:
    spoil_old_table(world, 0)
    with open_group("vg", None, tuple(world.paths), closely=False) as found:
        require_complete(found)
        assert found.version is not None
    with opened(world.devices()) as found, pytest.raises(MismatchError, match="is not the table that was written"):
        require_complete(found)


def test_an_update_sees_to_the_older_versions_before_it_writes(world: FileGroup) -> None:
    spoil_old_table(world, 1)
    before = [Path(path).read_bytes() for path in world.paths]
    with (
        open_group("vg", None, tuple(world.paths), write=True, closely=False) as found,
        pytest.raises(DamagedError, match="is not the table that was written") as failure,
    ):
        transact.update(found, lambda _: b"[1]", ("update",), NOW)
    assert "dvm replicate status" in failure.value.hint
    assert [Path(path).read_bytes() for path in world.paths] == before


def test_a_device_that_was_not_locked_is_not_touched(world: FileGroup) -> None:
    with opened(world.devices(), write=True, locked={world.paths[0]}) as found:
        assert [each.status.state for each in found.standings] == ["clean", "unreadable"]
        with pytest.raises(MismatchError, match="was not there a moment ago"):
            require_complete(found)


def test_a_device_that_became_too_short_is_not_touched(world: FileGroup) -> None:
    document = world.devices()
    short = msgspec.structs.replace(document.devices[1], size=2 * PAGE)
    document = msgspec.structs.replace(document, devices=(document.devices[0], short, *document.devices[2:]))
    with opened(document, write=True, locked=world.paths) as found:
        assert found.standings[1].status.state == "damaged"
        assert found.standings[1].status.problem == "it ends behind its device, which has 2 pages"


def test_named_devices_are_locked_before_they_are_looked_at(world: FileGroup) -> None:
    with (
        locked_paths(world.paths[1:], shared=True),
        pytest.raises(BusyError),
        open_group("vg", None, tuple(world.paths), write=True, wait_s=0.0),
    ):
        pass
    with locked_paths(world.paths[1:], shared=True), open_group("vg", None, tuple(world.paths), wait_s=0.0) as found:
        require_complete(found)


def test_a_bad_page_that_nobody_needs_is_in_nobodys_way(world: FileGroup) -> None:
    """The first pages are read by one call; one of them that cannot be read is told to those alone who want it."""
    with opened(world.devices()) as survey:
        regions = [each.seat.region for each in survey.standings]
    with open_regions(regions) as devices:
        wanted = status(devices), history(devices)

    class Bad:
        """A file of which page 30 of each region cannot be read."""

        def __init__(self, inner: object) -> None:
            self.inner = inner

        def __getattr__(self, name: str) -> object:
            return getattr(self.inner, name)

        def read(self, page: int, count: int) -> bytes:
            if page <= regions[0].begin + 30 < page + count:
                raise DamagedError("a bad page")
            data: bytes = self.inner.read(page, count)  # type: ignore[attr-defined]
            return data

        def viewed(self, page: int, count: int) -> AbstractContextManager[memoryview]:
            return nullcontext(memoryview(self.read(page, count)))

    with open_regions(regions) as devices:
        for device in devices:
            device.file = Bad(device.file)  # type: ignore[attr-defined]
        assert (status(devices), history(devices)) == wanted
