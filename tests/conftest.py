"""What holds for every test."""

from __future__ import annotations

import gc
import signal
from collections.abc import Iterator

import pytest


def pytest_configure(config: pytest.Config) -> None:
    if config.pluginmanager.hasplugin("hypothesispytest"):  # not in a guest, where its import takes as long as a test
        from hypothesis import HealthCheck, settings

        # A busy machine is no defect: no test asserts a time, hypothesis' own limits included.
        settings.register_profile("drystone", deadline=None, suppress_health_check=[HealthCheck.too_slow])
        settings.load_profile("drystone")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    # All that is collected stays to the end: looking for garbage in it takes a third of the time that collecting does.
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_sessionstart() -> None:
    # A shell that starts a job in the background hands it an ignored SIGINT, which every process below would inherit;
    # tests of Ctrl-C then wait for ever. Python's own handler is put back; programs that are started get the default.
    # SIGHUP, which nohup makes ignored, likewise.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
