"""Where keys, region and endpoint of an S3 store come from: the environment, then the files of Amazon's tools.

Names and order are those of Amazon's command line (its user guide, "Configuration and credential file settings" and
"Environment variables"); AWS_ACCESS_KEY and AWS_SECRET_KEY are Convoy's. Instance roles, containers and web identities
are left to the client library: it asks them when there is no key here.
"""

from __future__ import annotations

import configparser
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from drystone.base.errors import UsageError
from drystone.store.settings import check_endpoint, check_words, find_first, read_file

_KEYS = (("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), ("AWS_ACCESS_KEY", "AWS_SECRET_KEY"))
_ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")
_REGIONS = ("AWS_REGION", "AWS_DEFAULT_REGION")
_ASKED = (
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_SKIP_SIGNATURE",
)
"""Variables that make the client library ask elsewhere, or not at all. Without one it asks Amazon's machine, if it is
one; nobody's server takes such a machine's keys but Amazon's."""

_DEFAULT_REGION = "us-east-1"


@dataclass(frozen=True, slots=True)
class AwsSettings:
    """What reaches an S3 store. Keys are "" when none were found; they are not in the repr.

    :ivar endpoint: URL of a server that is not Amazon's; "" for Amazon's own.
    :ivar authorities: certificates (PEM) to trust besides the machine's; empty for none.
    :ivar asks: there is no key here, and the client library has a place to ask for one.
    """

    endpoint: str
    region: str
    access_key: str = field(repr=False, default="")
    secret_key: str = field(repr=False, default="")
    token: str = field(repr=False, default="")
    asks: bool = False
    authorities: bytes = field(repr=False, default=b"")


def find_settings(environ: Mapping[str, str], *, endpoint: str = "", region: str = "") -> AwsSettings:
    """Settings from `environ` and from the files that it or HOME names; `endpoint` and `region` come before both.

    :raises UsageError: an endpoint that is no URL, half a key or one with a blank in it, a profile that is not there, a
        file that cannot be read.
    """
    profile = _read_profile(environ)
    key, secret, token = _find_keys(environ, profile)
    url = check_endpoint(endpoint or find_first(environ, _ENDPOINTS) or profile.get("endpoint_url", ""), "S3")
    region = region or find_first(environ, _REGIONS) or profile.get("region", "") or _DEFAULT_REGION
    check_words("S3", access_key=key, secret_key=secret, session_token=token, region=region)
    machine = not url and environ.get("AWS_EC2_METADATA_DISABLED", "").lower() != "true"
    return AwsSettings(
        endpoint=url,
        region=region,
        access_key=key,
        secret_key=secret,
        token=token,
        authorities=_read_authorities(environ, profile),
        asks=not key and (machine or bool(find_first(environ, _ASKED))),
    )


def _read_authorities(environ: Mapping[str, str], profile: Mapping[str, str]) -> bytes:
    path = environ.get("AWS_CA_BUNDLE", "") or profile.get("ca_bundle", "")
    if not path:
        return b""
    try:
        data = read_file(path)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "no path"
        raise UsageError(f"{path!r}, the file of authorities, cannot be read: {why}") from error
    if b"-----BEGIN CERTIFICATE-----" not in data:
        raise UsageError(f"{path}, the file of authorities, holds no certificate in PEM")
    return data


def _find_keys(environ: Mapping[str, str], profile: Mapping[str, str]) -> tuple[str, str, str]:
    """(key, secret, session token), from one place: halves of two places do not fit."""
    for name, secret_name in _KEYS:
        key, secret = environ.get(name, ""), environ.get(secret_name, "")
        if key and secret:
            return key, secret, environ.get("AWS_SESSION_TOKEN", "")
        if key or secret:
            missing = secret_name if key else name
            raise UsageError(f"{name if key else secret_name} is set, and {missing} is not", hint=f"set {missing}")
    key, secret = profile.get("aws_access_key_id", ""), profile.get("aws_secret_access_key", "")
    if key and secret:
        return key, secret, profile.get("aws_session_token", "")
    return "", "", ""


def _read_profile(environ: Mapping[str, str]) -> dict[str, str]:
    """The settings of the profile that AWS_PROFILE names, else of `default`; those of the credentials file win."""
    name = environ.get("AWS_PROFILE", "")
    home = Path(environ.get("HOME") or "/")
    config = Path(environ.get("AWS_CONFIG_FILE") or home / ".aws" / "config")
    credentials = Path(environ.get("AWS_SHARED_CREDENTIALS_FILE") or home / ".aws" / "credentials")
    wanted = name or "default"
    found: dict[str, str] = {}
    there = False
    for path, section in ((config, wanted if wanted == "default" else f"profile {wanted}"), (credentials, wanted)):
        parsed = _read_file(path)
        if parsed.has_section(section):
            there = True
            found.update(parsed[section])
    if name and not there:
        raise UsageError(f"AWS_PROFILE names {name[:80]!r}, which neither {config} nor {credentials} has")
    return found


def _read_file(path: Path) -> configparser.ConfigParser:
    # Text of the file is in no message: a line of it may be a secret.
    parsed = configparser.ConfigParser(interpolation=None, default_section="", strict=False)
    try:
        parsed.read_string(read_file(path).decode())
    except (FileNotFoundError, NotADirectoryError):
        return parsed
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error
    except (configparser.Error, UnicodeDecodeError):
        raise UsageError(f"{path} is no file of settings", hint="mend it, or name another one") from None
    return parsed
