"""A broker, RabbitMQ or Redis, by kombu: messages of everybody for everybody who listens, and for nobody later.

Messages go through a fanout exchange: to a queue of each listener in RabbitMQ, which ends with its connection and has
an end in length and time; to a channel in Redis. No step of a call stands still for longer than `_SECONDS`. After a
failure a connection is good for nothing: another one is made.

Which cluster's hints they are is said by the URL: a virtual host of RabbitMQ, a database of Redis.
"""

from __future__ import annotations

import contextlib
import importlib
import time
import urllib.parse
from typing import Any, Protocol

from drystone.base.errors import UnsupportedError, UsageError
from drystone.base.names import new_uuid

_SECONDS = 3.0
_LENGTH = 1000
"""Messages that RabbitMQ keeps for a listener: of more the oldest are dropped."""
_AGE = 60.0
"""Seconds that it keeps one."""
_EXCHANGE = "drystone.cluster"
_GAP = 0.01
"""Seconds without a message after which those that came are handed over."""

_SCHEMES = ("amqp", "amqps", "redis", "rediss")


class Link(Protocol):
    """A connection to a broker. Its methods raise whatever the broker's library does; then it is closed."""

    def send(self, message: bytes) -> None:
        """Have everybody who listens get it. The broker has it when this returns."""

    def receive(self, seconds: float) -> list[bytes]:
        """What comes within `seconds`, as soon as something does; at most `_LENGTH` messages."""

    def close(self) -> None:
        """End it. Raises nothing."""


def check_url(url: str) -> str:
    """The URL of a broker.

    :raises UsageError: it is none of one that is known. The text does not show it: there is a password in it.
    :raises UnsupportedError: the library for it is not installed.
    """
    scheme, _, rest = url.partition("://")
    if scheme not in _SCHEMES or not _names_host(f"//{rest}"):
        raise UsageError(
            "the queue's URL is not one of RabbitMQ or Redis",
            hint="amqp://USER:PASSWORD@HOST/VHOST, amqps://..., redis://:PASSWORD@HOST/NUMBER or rediss://...",
        )
    for library in ("kombu", "redis" if scheme.startswith("redis") else "amqp"):
        try:
            importlib.import_module(library)  # not find_spec: kombu, once imported, has none
        except ImportError as error:
            raise UnsupportedError(f"the queue needs {library}", hint="pip install 'drystone[cluster]'") from error
    return url


def _names_host(place: str) -> bool:
    try:
        parts = urllib.parse.urlsplit(place)
        return bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _options(scheme: str) -> dict[str, Any]:
    """That each step of a call has an end, as the transports spell it."""
    if scheme.startswith("redis"):
        return {"socket_timeout": _SECONDS, "socket_connect_timeout": _SECONDS, "socket_keepalive": True}
    if scheme.startswith("amqp"):
        return {"read_timeout": _SECONDS, "write_timeout": _SECONDS, "confirm_publish": True, "max_retries": 0}
    return {}


class KombuLink:
    """A connection to the broker at `url`. The constructor connects.

    :param listens: whether `receive` is called. :raises Exception: whatever the library says; nothing is left open.
    """

    def __init__(self, url: str, *, listens: bool) -> None:
        kombu: Any = importlib.import_module("kombu")  # half of it has types
        scheme = url.partition(":")[0]
        self._received: list[bytes] = []
        self._connection = kombu.Connection(url, connect_timeout=_SECONDS, transport_options=_options(scheme))
        try:
            self._connection.connect()
            channel = self._connection.channel()
            exchange = kombu.Exchange(_EXCHANGE, type="fanout", durable=False, delivery_mode=1)
            self._producer = kombu.Producer(channel, exchange=exchange, auto_declare=True)
            if listens:
                queue = kombu.Queue(
                    f"{_EXCHANGE}.{new_uuid()}",
                    exchange,
                    durable=False,
                    exclusive=True,
                    auto_delete=True,
                    max_length=_LENGTH,
                    message_ttl=_AGE,
                )
                self._consumer = kombu.Consumer(
                    channel, [queue], no_ack=True, on_message=self._take, accept=["application/octet-stream"]
                )
                self._consumer.consume()
        except BaseException:
            self.close()
            raise

    def _take(self, message: Any) -> None:
        body = message.body
        self._received.append(body.encode() if isinstance(body, str) else bytes(body))

    def send(self, message: bytes) -> None:
        self._producer.publish(
            message, content_type="application/octet-stream", content_encoding="binary", delivery_mode=1
        )

    def receive(self, seconds: float) -> list[bytes]:
        until = time.monotonic() + seconds
        while len(self._received) < _LENGTH:
            left = _GAP if self._received else until - time.monotonic()
            if left <= 0:
                break
            try:
                self._connection.drain_events(timeout=left)
            except TimeoutError:
                break
        found, self._received = self._received, []
        return found

    def close(self) -> None:
        with contextlib.suppress(Exception):  # it may be broken, and nothing is asked of it any more
            self._connection.release()
