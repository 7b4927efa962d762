"""Where credentials and endpoint of a Google Cloud Storage store come from: the environment and the files it names.

GOOGLE_APPLICATION_CREDENTIALS and STORAGE_EMULATOR_HOST are Google's own names ("Application Default Credentials",
"Cloud Storage client libraries"), the other GOOGLE_* those of the client library, which also finds gcloud's file and
asks the machine it runs on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec

from drystone.base.errors import UsageError
from drystone.store.settings import check_endpoint, check_words, find_first, is_true, read_file

_EMULATOR = "STORAGE_EMULATOR_HOST"
_KEY_FILES = ("GOOGLE_SERVICE_ACCOUNT", "GOOGLE_SERVICE_ACCOUNT_PATH")

_NO_KEY = '{"disable_oauth": true, "client_email": "", "private_key": "", "private_key_id": ""}'
"""The client library's own way to send requests of nobody; told to sign none, it still asks the machine for puts."""


@dataclass(frozen=True, slots=True)
class GcsSettings:
    """What reaches a GCS store. Secrets are not in the repr.

    :ivar endpoint: URL of a server that is not Google's; "" for Google's own.
    :ivar key: a service account's key (JSON). :ivar key_file: the path of one, or of application default credentials
        when `is_default`. :ivar token: a bearer token. :ivar anonymous: requests are sent without credentials.
    """

    endpoint: str = ""
    key: str = field(repr=False, default="")
    key_file: str = ""
    is_default: bool = False
    token: str = field(repr=False, default="")
    anonymous: bool = False


class _KeyFile(msgspec.Struct, frozen=True):
    """What we read of a service account's key. `gcs_base_url` is the client library's own addition."""

    gcs_base_url: str = ""


def find_settings(environ: Mapping[str, str]) -> GcsSettings:
    """Settings from `environ`.

    :raises UsageError: an endpoint that is no URL, a key or a file that cannot be read.
    """
    if emulator := environ.get(_EMULATOR, ""):
        url = emulator if "://" in emulator else f"http://{emulator}"
        return GcsSettings(check_endpoint(url, "GCS"), key=_NO_KEY)
    key, key_file = environ.get("GOOGLE_SERVICE_ACCOUNT_KEY", ""), find_first(environ, _KEY_FILES)
    default = environ.get("GOOGLE_APPLICATION_CREDENTIALS", "")
    token = environ.get("GOOGLE_BEARER_TOKEN", "")
    check_words("GCS", bearer_token=token)
    named = _read_key(key.encode()) if key else _read_key_file(key_file) if key_file else ""
    if not key and not key_file and default:
        _read_key_file(default)
    return GcsSettings(
        endpoint=check_endpoint(environ.get("GOOGLE_BASE_URL", "") or named, "GCS"),
        key=key,
        key_file="" if key else key_file or default,
        is_default=not key and not key_file and bool(default),
        token=token,
        anonymous=is_true(environ.get("GOOGLE_SKIP_SIGNATURE", "")),
    )


def _read_key_file(path: str) -> str:
    """The endpoint that a key file names."""
    try:
        data = read_file(path)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "no path"
        raise UsageError(f"{path}, the file of Google's credentials, cannot be read: {why}") from error
    return _read_key(data)


def _read_key(data: bytes) -> str:
    # Text of the key is in no message.
    try:
        return msgspec.json.decode(data, type=_KeyFile).gcs_base_url
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise UsageError("Google's credentials are no key in JSON", hint="download the account's key again") from None
