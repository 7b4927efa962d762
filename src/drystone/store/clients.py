"""Clients of remote stores: obstore's, with the time that each request may take.

obstore's own retries are off: `remote` tries again, as it alone knows which write was its own.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Protocol, cast

from drystone.base.errors import UnavailableError
from drystone.store.answers import credentials_hint
from drystone.store.aws import AwsSettings
from drystone.store.azure import AzureSettings
from drystone.store.destination import AzurePlace, GcsPlace, S3Place
from drystone.store.gcs import GcsSettings

if TYPE_CHECKING:
    from obstore.store import AzureConfig, ClientConfig, GCSConfig, ObjectStore, RetryConfig, S3Config, S3Credential


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a remote store is waited for; seconds, and bytes a second.

    :ivar connect: until a connection stands. :ivar silence: for the next bytes of an answer.
    :ivar answer: for a whole answer. :ivar slowest: the slowest rate at which an upload may go.
    :ivar first: how long a store that never answered is tried again. :ivar again: likewise, one that did.
    """

    connect: float = 5.0
    silence: float = 30.0
    answer: float = 600.0
    slowest: int = 256 * 1024
    first: float = 8.0
    again: float = 60.0


class Clients(Protocol):
    """The clients of one destination."""

    def reader(self) -> ObjectStore:
        """For everything but puts."""

    def writer(self, size: int) -> ObjectStore:
        """For a put of `size` bytes."""


class SharedClient:
    """One client for everything: memory."""

    def __init__(self, client: ObjectStore) -> None:
        self._client = client

    def reader(self) -> ObjectStore:
        """The client."""
        return self._client

    def writer(self, size: int) -> ObjectStore:  # noqa: ARG002 - the Protocol's name
        """The client."""
        return self._client


class TimedClients:
    """Clients over a network, made as they are needed: a client's time limits are fixed.

    While an upload goes on no byte of the answer comes, so its limit is one for all of it and grows with its size.

    :param make: makes a client that waits for (the next bytes, the whole answer) that many seconds.
    """

    def __init__(self, make: Callable[[float, float], ObjectStore], patience: Patience) -> None:
        self._make = make
        self._patience = patience
        self._writers: dict[float, ObjectStore] = {}
        self._lock = threading.Lock()
        self._reader = make(patience.silence, patience.answer)

    def reader(self) -> ObjectStore:
        """Waits for the next bytes, and longer for the whole."""
        return self._reader

    def writer(self, size: int) -> ObjectStore:
        """Waits as long as the bytes take at the slowest rate, in whole steps of `silence`, at least one."""
        limit = self._patience.silence * (1 + int(size / self._patience.slowest / self._patience.silence))
        with self._lock:
            if limit not in self._writers:
                self._writers[limit] = self._make(limit, limit)
            return self._writers[limit]


def make_s3(place: S3Place, settings: AwsSettings, patience: Patience) -> TimedClients:
    """Clients of a bucket. Nothing is sent yet. :raises UnavailableError: obstore refuses the settings."""
    from obstore.store import S3Store

    config: S3Config = {"bucket": place.bucket, "region": settings.region}
    # Said here, so that no variable of the environment says otherwise.
    config["conditional_put"] = "etag"
    config["disable_bulk_delete"] = True
    config["unsigned_payload"] = False
    config["virtual_hosted_style_request"] = False
    if settings.endpoint:
        config["endpoint"] = settings.endpoint
    plain = settings.endpoint.startswith("http://")
    authorities = b"" if plain else settings.authorities

    def make(silence: float, answer: float) -> ObjectStore:
        options = _options(patience, silence, answer)
        options["allow_http"] = plain
        if authorities:
            options["root_certificate"] = authorities
        if not settings.access_key:
            return S3Store(config=config, client_options=options, retry_config=_no_retries())
        return S3Store(
            config=config,
            client_options=options,
            retry_config=_no_retries(),
            credential_provider=partial(_credential, settings),
        )

    return _made(place, make, patience)


def _credential(settings: AwsSettings) -> S3Credential:
    """The keys, asked for once. As settings they would meet a token of the environment that is not theirs."""
    return {
        "access_key_id": settings.access_key,
        "secret_access_key": settings.secret_key,
        "token": settings.token or None,
        "expires_at": None,
    }


def make_gcs(place: GcsPlace, settings: GcsSettings, patience: Patience) -> TimedClients:
    """Clients of a bucket. Without a key or a token obstore asks gcloud's file, then the machine. Nothing is sent yet.

    :raises UnavailableError: the credentials that were found cannot be used.
    """
    from obstore.store import GCSStore

    config: GCSConfig = {"bucket": place.bucket, "skip_signature": settings.anonymous}
    if settings.endpoint:
        config["base_url"] = settings.endpoint
    if settings.key:
        config["service_account_key"] = settings.key
    if settings.key_file:
        config["application_credentials" if settings.is_default else "service_account"] = settings.key_file
    if settings.token:
        config["bearer_token"] = settings.token

    def make(silence: float, answer: float) -> ObjectStore:
        options = _options(patience, silence, answer)
        options["allow_http"] = settings.endpoint.startswith("http://")
        return GCSStore(config=config, client_options=options, retry_config=_no_retries())

    return _made(place, make, patience)


def make_azure(place: AzurePlace, settings: AzureSettings, patience: Patience) -> TimedClients:
    """Clients of a container. Without a key or a signature obstore asks what `others` names, else the machine.

    Nothing is sent yet. :raises UnavailableError: the credentials that were found cannot be used.
    """
    from obstore.store import AzureStore

    config = cast("AzureConfig", dict(settings.others))
    config["container_name"] = place.container
    config["account_name"] = settings.account
    # Said here, so that no variable of the environment says otherwise.
    config["use_emulator"] = False
    if settings.endpoint:
        config["endpoint"] = settings.endpoint
    if settings.key:
        config["account_key"] = settings.key
        config["credential_type"] = "access_key"
    elif settings.signature:
        config["sas_key"] = settings.signature
        config["credential_type"] = "sas_token"

    def make(silence: float, answer: float) -> ObjectStore:
        options = _options(patience, silence, answer)
        options["allow_http"] = settings.endpoint.startswith("http://")
        return AzureStore(config=config, client_options=options, retry_config=_no_retries())

    return _made(place, make, patience)


def _made(
    place: S3Place | GcsPlace | AzurePlace, make: Callable[[float, float], ObjectStore], patience: Patience
) -> TimedClients:
    from obstore.exceptions import BaseError

    try:
        return TimedClients(make, patience)
    except (BaseError, ValueError):
        # What it says may repeat what it was given.
        raise UnavailableError(
            f"{place}: the credentials that were found cannot be used", hint=credentials_hint(str(place))
        ) from None


def _options(patience: Patience, silence: float, answer: float) -> ClientConfig:
    return {
        "connect_timeout": timedelta(seconds=patience.connect),
        "read_timeout": timedelta(seconds=silence),
        "timeout": timedelta(seconds=answer),
    }


def _no_retries() -> RetryConfig:
    return {"max_retries": 0, "retry_timeout": timedelta(0)}
