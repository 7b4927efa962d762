"""The request line's target: path and query, percent-decoded, and in the one spelling that signatures are made of."""

from __future__ import annotations

from urllib.parse import quote, unquote_to_bytes

from drystone.fleet.s3.errors import Code, S3Error

_UNRESERVED = "-._~"


def encode(data: bytes | str, *, slashes: bool = False) -> str:
    """Percent-encode all but RFC 3986's unreserved characters. :param slashes: leave `/` as it is."""
    return quote(data, safe=_UNRESERVED + ("/" if slashes else ""))


def _raw(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def split_target(target: str) -> tuple[str, str]:
    """Path and query, both as they came. The query is "" when there is none."""
    path, _, query = target.partition("?")
    return path.partition("#")[0], query.partition("#")[0]


def canonical_path(path: str) -> str:
    """The path as SigV4 for S3 has it: decoded and encoded once, nothing normalised."""
    return encode(unquote_to_bytes(_raw(path)), slashes=True)


def query_pairs(query: str) -> list[tuple[bytes, bytes]]:
    """Names and values of a query, decoded (`+` is a space), in order."""
    pairs = []
    for piece in query.split("&"):
        if piece:
            name, _, value = piece.replace("+", " ").partition("=")
            pairs.append((unquote_to_bytes(_raw(name)), unquote_to_bytes(_raw(value))))
    return pairs


def canonical_query(pairs: list[tuple[bytes, bytes]]) -> str:
    """A query as SigV4 has it: encoded, ordered by name and value; without the signature itself."""
    encoded = sorted((encode(name), encode(value)) for name, value in pairs if name != b"X-Amz-Signature")
    return "&".join(f"{name}={value}" for name, value in encoded)


def decode_path(path: str) -> str:
    """The path's characters.

    :raises S3Error: InvalidURI: it is not UTF-8, or does not begin with `/`.
    """
    try:
        text = unquote_to_bytes(_raw(path)).decode()
    except UnicodeDecodeError as error:
        raise S3Error(Code.InvalidURI) from error
    if not text.startswith("/"):
        raise S3Error(Code.InvalidURI)
    return text


def decode_query(query: str) -> dict[str, str]:
    """Names and values of a query; the first of a name counts.

    :raises S3Error: InvalidURI: it is not UTF-8. InvalidArgument: it has a NUL, which no key has.
    """
    if "%00" in query or "\0" in query:
        raise S3Error(Code.InvalidArgument, "The query has a NUL character.")
    found: dict[str, str] = {}
    try:
        for name, value in query_pairs(query):
            found.setdefault(name.decode(), value.decode())
    except UnicodeDecodeError as error:
        raise S3Error(Code.InvalidURI) from error
    return found
