"""URLs of brokers."""

from __future__ import annotations

import pytest

from drystone.base.errors import UsageError
from drystone.cluster.queue.broker import check_url


@pytest.mark.parametrize(
    "url", ["amqp://user:pass@10.0.0.1:5672/cluster", "amqps://host//", "redis://:pass@[fd00::1]/3", "rediss://host"]
)
def test_urls_of_brokers_pass(url: str) -> None:
    assert check_url(url) == url


@pytest.mark.parametrize(
    "url",
    ["secret", "memory://", "pyamqp://secret@h", "redis+socket:///secret", "amqp://", "redis://:secret@", "redis://h:0",
     "amqp://secret@h:port", "amqp://[secret", "filesystem:///secret"],
)  # fmt: skip
def test_other_urls_are_refused_and_not_shown(url: str) -> None:
    with pytest.raises(UsageError, match="RabbitMQ or Redis") as caught:
        check_url(url)
    assert "secret" not in str(caught.value)
