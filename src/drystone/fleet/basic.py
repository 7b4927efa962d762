"""An access key in HTTP Basic, as browsers and monitors send it. Pure."""

from __future__ import annotations

import base64
import binascii
import hmac

from drystone.fleet.documents import Key

CHALLENGE = 'Basic realm="drystone", charset="UTF-8"'
"""The `WWW-Authenticate` of a 401: browsers ask for access key (as the user's name) and secret then."""


def parse_basic(authorization: str) -> tuple[str, str]:
    """Access key and secret of an `Authorization` header; both "" when it is none of this kind."""
    kind, _, given = authorization.partition(" ")
    if kind.lower() != "basic":
        return "", ""
    try:
        access, _, secret = base64.b64decode(given, validate=True).decode().partition(":")
    except (binascii.Error, ValueError):  # UnicodeDecodeError is one; so is what a character above ASCII raises
        return "", ""
    return access, secret


def is_administrator(key: Key | None, secret: str) -> bool:
    """Whether a key has this secret, and "admin" on "*". :param key: None: there is none of that name."""
    same = hmac.compare_digest((key.secret if key else "").encode(), secret.encode())
    return key is not None and bool(key.secret) and same and key.rights.get("*") == "admin"
