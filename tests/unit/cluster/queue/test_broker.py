"""URLs of brokers."""

from __future__ import annotations

import importlib
import sys

import pytest

from drystone.base.errors import UnsupportedError, UsageError
from drystone.cluster.queue.broker import check_url


@pytest.mark.parametrize(
    "url", ["amqp://user:pass@10.0.0.1:5672/cluster", "amqps://host//", "redis://:pass@[fd00::1]/3", "rediss://host"]
)
def test_urls_of_brokers_pass(url: str) -> None:
    assert check_url(url) == url


def test_urls_pass_once_the_library_is_there_too() -> None:
    importlib.import_module("kombu")  # which puts a module of its own in its place, one without a __spec__
    assert check_url("amqps://host//") == "amqps://host//"


def test_a_broker_without_its_library_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "kombu", None)
    with pytest.raises(UnsupportedError, match="the queue needs kombu"):
        check_url("amqps://host//")


@pytest.mark.parametrize(
    "url",
    ["secret", "memory://", "pyamqp://secret@h", "redis+socket:///secret", "amqp://", "redis://:secret@", "redis://h:0",
     "amqp://secret@h:port", "amqp://[secret", "filesystem:///secret"],
)  # fmt: skip
def test_other_urls_are_refused_and_not_shown(url: str) -> None:
    with pytest.raises(UsageError, match="RabbitMQ or Redis") as caught:
        check_url(url)
    assert "secret" not in str(caught.value)
