"""Many devices at once: each is served, failures are told, threads are started for slow ones only."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from drystone.base.errors import KernelError
from drystone.dvm.replication.regions import PAGE, FileRegion, Region, RegionDevice, open_regions
from drystone.dvm.replication.together import done_together, gather

ALWAYS = -1.0
NEVER = 1e9


@contextmanager
def regions(folder: Path, count: int, *, each: int = 1) -> Iterator[Sequence[RegionDevice]]:
    wanted = []
    for number in range(count):
        path = folder / f"disk{number}"
        path.write_bytes(bytes(each * 8 * 4096))
        wanted += [Region(str(path), at * 8, at * 8 + 8) for at in range(each)]
    with open_regions(wanted, write=True) as devices:
        yield devices


class Notes:
    """Which action ran in which thread."""

    def __init__(self) -> None:
        self.threads: dict[int, int] = {}

    def actions(self, count: int, failing: dict[int, BaseException] | None = None) -> list[Callable[[], None]]:
        def act(number: int) -> None:
            assert number not in self.threads
            self.threads[number] = threading.get_ident()
            if failing and number in failing:
                raise failing[number]

        return [lambda number=number: act(number) for number in range(count)]  # type: ignore[misc]


@pytest.mark.parametrize("worth_s", [ALWAYS, NEVER])
@pytest.mark.parametrize("count", [1, 2, 3, 40])
def test_each_device_is_served_once(tmp_path: Path, count: int, worth_s: float) -> None:
    notes = Notes()
    with regions(tmp_path, count) as devices:
        assert done_together(devices, notes.actions(count), worth_s=worth_s)
    assert sorted(notes.threads) == list(range(count))
    own = {number for number, thread in notes.threads.items() if thread == threading.get_ident()}
    assert own == ({0} if worth_s == ALWAYS and count > 2 else set(range(count)))
    others = {*notes.threads.values()} - {threading.get_ident()}
    assert not [each for each in threading.enumerate() if each.ident in others]


def test_two_regions_of_one_device_are_in_one_thread(tmp_path: Path) -> None:
    notes = Notes()
    with regions(tmp_path, 9, each=2) as devices:
        assert done_together(devices, notes.actions(18), worth_s=ALWAYS)
    assert all(notes.threads[number] == notes.threads[number + 1] for number in range(0, 18, 2))


@pytest.mark.parametrize("worth_s", [ALWAYS, NEVER])
def test_the_first_failure_is_told_and_the_others_are_tried(tmp_path: Path, worth_s: float) -> None:
    notes = Notes()
    failing: dict[int, BaseException] = {at: KernelError("flush", 5, device=f"disk{at}") for at in (7, 3)}
    with regions(tmp_path, 9) as devices, pytest.raises(KernelError, match="disk3"):
        done_together(devices, notes.actions(9, failing), worth_s=worth_s)
    assert len(notes.threads) == 9


def test_a_defect_in_a_thread_is_no_success(tmp_path: Path) -> None:
    with regions(tmp_path, 4) as devices, pytest.raises(ZeroDivisionError):
        done_together(devices, Notes().actions(4, {3: ZeroDivisionError()}), worth_s=ALWAYS)


def test_devices_that_are_none_of_the_kernels_are_left_to_the_caller(tmp_path: Path) -> None:
    class Other:
        name, pages, is_cached = "other", 8, False

        def read(self, page: int, count: int) -> bytes:
            raise AssertionError

        def write(self, page: int, data: bytes) -> None:
            raise AssertionError

        def flush(self) -> None:
            raise AssertionError

    notes = Notes()
    with regions(tmp_path, 1) as devices:
        assert not done_together([*devices, Other()], notes.actions(2))
    assert not notes.threads


@pytest.mark.parametrize("worth_s", [ALWAYS, NEVER])
def test_answers_come_in_the_order_of_the_devices(tmp_path: Path, worth_s: float) -> None:
    with regions(tmp_path, 9, each=2) as devices:
        assert gather(devices, lambda number: number * 10, worth_s=worth_s) == [number * 10 for number in range(18)]


@pytest.mark.parametrize("worth_s", [ALWAYS, NEVER])
def test_the_first_question_that_fails_is_told(tmp_path: Path, worth_s: float) -> None:
    def ask(number: int) -> int:
        if number in (2, 5):
            raise KernelError("read", 5, device=f"disk{number}")
        return number

    with regions(tmp_path, 6) as devices, pytest.raises(KernelError, match="disk2"):
        gather(devices, ask, worth_s=worth_s)


def test_what_is_written_is_read_though_the_first_pages_were_read_before(tmp_path: Path) -> None:
    with regions(tmp_path, 1) as (device,):
        assert isinstance(device, FileRegion)
        with device.reading():
            assert device.read(2, 1) == bytes(PAGE)
            device.write(2, b"x" * PAGE)
            assert device.read(2, 1) == b"x" * PAGE


def test_waiting_for_the_processor_starts_no_threads(tmp_path: Path) -> None:
    notes = Notes()
    actions = [partial(_use_processor, action) for action in notes.actions(4)]
    with regions(tmp_path, 4) as devices:
        assert done_together(devices, actions, worth_s=60.0)
    assert set(notes.threads.values()) == {threading.get_ident()}


def test_the_first_alone_starts_no_threads(tmp_path: Path) -> None:
    """It waits for what all need once; were they like it, they would take longer than that is worth."""
    notes = Notes()
    first, *others = notes.actions(150)

    def wait_first() -> None:
        time.sleep(0.25)
        first()

    with regions(tmp_path, 150) as devices:
        assert done_together(devices, [wait_first, *others], worth_s=30.0)
    assert set(notes.threads.values()) == {threading.get_ident()}


def _use_processor(action: Callable[[], None]) -> None:
    sum(range(100_000))
    action()
