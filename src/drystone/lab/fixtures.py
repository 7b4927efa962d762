"""The pytest plugin `drystone-lab`: tests that run inside a guest, and fixtures for tests that drive guests.

* A test marked `in_guest` runs inside a guest: one guest a module, booted at the module's first test. Its report comes
  back as if it had run here. Run inside a guest already, it just runs.
* `guest`: one guest for the module, driven from here. `lab_factory`: labs that are closed after the test.
* The marker `lab` says what the module's guest is like: `pytestmark = pytest.mark.lab(memory="1G", disks=["64M"])`.

Nothing heavy is imported when the plugin loads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from drystone.lab.lab import Guest, Lab
    from drystone.lab.remote_tests import RemoteTests

_REMOTE: pytest.StashKey[RemoteTests] = pytest.StashKey()


def pytest_configure(config: pytest.Config) -> None:
    """Make the markers known."""
    config.addinivalue_line("markers", "in_guest: run the test inside a guest of the lab, one guest a module")
    config.addinivalue_line("markers", "lab(memory, disks, modules): what the module's guest is like")


def _runs_remotely(item: pytest.Item) -> bool:
    from drystone.lab.environment import in_guest

    return item.get_closest_marker("in_guest") is not None and not in_guest()


@pytest.hookimpl(tryfirst=True, optionalhook=True)
def pytest_timeout_set_timer(item: pytest.Item, settings: Any) -> bool | None:
    """pytest-timeout's limit of a remote test runs in its guest: the boot is no part of it, and it knows the place."""
    if not _runs_remotely(item):
        return None
    from drystone.lab.remote_tests import LIMIT

    item.stash[LIMIT] = float(settings.timeout or 0)
    return True


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
    """Hand a test that is marked `in_guest` to its module's guest."""
    if not _runs_remotely(item):
        return None
    from drystone.lab.remote_tests import RemoteTests

    remote = item.session.stash.setdefault(_REMOTE, RemoteTests(item.session))
    remote.report(item)
    # What packages and modules have set up for local tests ends here unless the next one needs it. pytest does that
    # in pytest_runtest_teardown, which cannot be called for a test without a setup: parts of it by other plugins fail.
    item.session._setupstate.teardown_exact(nextitem)  # noqa: SLF001 - no public name leads to it
    return True


def pytest_sessionfinish(session: pytest.Session) -> None:
    """End the guest of the last module."""
    remote = session.stash.get(_REMOTE, None)
    if remote is not None:
        remote.close()


@pytest.fixture(scope="module")
def guest(request: pytest.FixtureRequest) -> Iterator[Guest]:
    """One guest for the whole module, as its marker `lab` says."""
    from drystone.lab.lab import Lab
    from drystone.lab.markers import guest_options

    with Lab(**guest_options(request.node)) as lab:
        yield lab.guests[0]


@pytest.fixture
def lab_factory() -> Iterator[Callable[..., Lab]]:
    """Call it with Lab's arguments for a lab that is up; it is closed after the test."""
    from contextlib import ExitStack

    from drystone.lab.lab import Lab

    with ExitStack() as stack:
        yield lambda *args, **kwargs: stack.enter_context(Lab(*args, **kwargs))
