"""docs/reference/fleet-s3.md says what the code does: operations, what they look at, settings, limits and errors."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import parse_qsl

import pytest

from drystone.fleet.documents import Key
from drystone.fleet.gateway import gateway
from drystone.fleet.gateway.access import action_of
from drystone.fleet.gateway.context import MAX_DOCUMENT
from drystone.fleet.gateway.messages import GatewaySettings
from drystone.fleet.gateway.uploads import MIN_PART
from drystone.fleet.s3 import bodies, chunked, fields, keys, lifecycle, parsing, payload, policy, signing
from drystone.fleet.s3.checksums import SIZES
from drystone.fleet.s3.errors import Code
from drystone.fleet.s3.operations import Operation
from drystone.fleet.s3.payload import Payload
from drystone.testing.fleet.gateway_client import GatewayClient

ADMIN = Key("ADMIN", "admins-secret", {"*": "admin"})
PAGE = Path(__file__).parents[4] / "docs" / "reference" / "fleet-s3.md"
NAME = re.compile(r"`([^`]+)`")


class Seen(dict[str, str]):
    """A mapping that notes what is looked for in it."""

    def __init__(self, values: Mapping[str, str]) -> None:
        super().__init__(values)
        self.names: set[str] = set()

    def get(self, name: str, default: object = None) -> object:  # type: ignore[override]
        self.names.add(name)
        return super().get(name, default)

    def __getitem__(self, name: str) -> str:
        self.names.add(name)
        return super().__getitem__(name)

    def __contains__(self, name: object) -> bool:
        self.names.add(str(name))
        return super().__contains__(name)


def table(heading: str) -> list[list[str]]:
    """The cells of the table below a heading of the page."""
    text = PAGE.read_text(encoding="utf-8").partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    rows = [line.strip("|").split(" | ") for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row] for row in rows[2:]]


def parse_row(row: list[str]) -> tuple[Operation, Seen, Seen]:
    """The operation of a row's request, and what was looked at."""
    request, *more = NAME.findall(row[1])
    method, _, target = request.partition(" ")
    path, _, query = target.partition("?")
    values = dict(parse_qsl(query.replace("=N", "=1"), keep_blank_values=True))
    bucket, _, key = path.removeprefix("/").partition("/")
    asked_query, headers = Seen(values), Seen(dict.fromkeys(more, "bucket/key"))
    asked = parsing.Asked(method, bucket, key, asked_query, headers, Payload(0), 0.0)
    return parsing.parse_operation(asked), asked_query, headers


OPERATIONS = table("Operations")


def test_all_operations_are_there() -> None:
    assert {type(parse_row(row)[0]) for row in OPERATIONS} == set(gateway._HANDLERS)  # its table


@pytest.mark.parametrize("row", OPERATIONS, ids=lambda row: row[0])
def test_an_operation_is_as_the_page_says(row: list[str]) -> None:
    operation, query, headers = parse_row(row)
    right, action, parameters = row[2], row[3].strip("`"), NAME.findall(row[4])
    assert (operation.right or "none", action_of(operation)) == (right, action)
    looked_at = query.names | headers.names
    assert [name for name in parameters if "*" not in name and name not in looked_at] == []


def test_no_parameter_is_left_out() -> None:
    told = {name for row in OPERATIONS for cell in row[1:] for name in re.findall(r"[\w.-]+", cell)}
    told |= set(NAME.findall(PAGE.read_text(encoding="utf-8")))
    for row in OPERATIONS:
        _, query, headers = parse_row(row)
        missing = (query.names - parsing.BUCKET_SETTINGS | headers.names) - told
        assert missing == set(), row[0]


def settings_rows() -> Iterator[str]:
    """The table of a bucket's settings, as the gateway answers."""
    client = GatewayClient(ADMIN)
    documents = {
        "acl": (b"", {"x-amz-acl": "private"}),
        "lifecycle": (
            (
                b"<LifecycleConfiguration><Rule><Status>Enabled</Status><Prefix/><Expiration><Days>1</Days></Expiration>"
                b"</Rule></LifecycleConfiguration>"
            ),
            {},
        ),
        "object-lock": (
            b"<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled></ObjectLockConfiguration>",
            {},
        ),
        "policy": (b'{"Statement":[]}', {}),
        "tagging": (b"<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>", {}),
        "versioning": (b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>", {}),
    }
    for number, what in enumerate(sorted(parsing.BUCKET_SETTINGS)):
        bucket = f"/bucket-{number}"
        assert client.call("PUT", bucket, key=ADMIN).status == 200
        if what == "object-lock":
            assert client.call("PUT", f"{bucket}?versioning", documents["versioning"][0], key=ADMIN).status == 200
        cells = []
        for method in ("GET", "PUT", "DELETE"):
            body, headers = documents.get(what, (b"", {})) if method == "PUT" else (b"", {})
            answer = client.call(method, f"{bucket}?{what}", body, headers, key=ADMIN)
            cells.append(f"{answer.status} {answer.code}" if answer.status >= 400 else f"{answer.status}")
        yield f"| `{what}` | {' | '.join(cells)} |"


def error_rows() -> Iterator[str]:
    """The table of errors."""
    return (f"| `{code.name}` | {code.status} | {code.text} |" for code in Code)


def limit_rows() -> Iterator[str]:
    """The table of limits."""
    limits = {
        "bytes of a key (UTF-8; any characters but NUL)": keys.MAX_KEY,
        "bytes of one put, copy or part": payload.MAX_PUT,
        "bytes of every part but the last, at least": MIN_PART,
        "parts of an upload": parsing.MAX_PARTS,
        "entries of a page (keys, versions, uploads, parts)": parsing.MAX_PAGE,
        "objects of one DeleteObjects": bodies.MAX_DELETES,
        "bytes of user metadata, names and values": fields.MAX_USER_METADATA,
        "tags of an object": fields.MAX_TAGS,
        "tags of a bucket": bodies.MAX_BUCKET_TAGS,
        "bytes of a request's document (XML, JSON)": MAX_DOCUMENT,
        "bytes of a policy": policy.MAX_POLICY,
        "lifecycle rules of a bucket": lifecycle.MAX_RULES,
        "days of a lifecycle action": lifecycle.MAX_DAYS,
        "headers of a request": gateway.MAX_HEADERS,
        "bytes of all headers": gateway.MAX_HEADER_BYTES,
        "bytes of the request line's target": gateway.MAX_TARGET,
        "bytes of a line of a chunked body": chunked.MAX_LINE,
        "seconds that a signed request is good for, before and after its time": signing.SKEW_SECONDS,
        "seconds that a presigned URL may be good for": signing.MAX_EXPIRES,
        "seconds after which a copy or a completion is answered with blanks": int(GatewaySettings().patience),
    }
    return (f"| {what} | {limit:,} |" for what, limit in limits.items())


@pytest.mark.parametrize("rows", [settings_rows, error_rows, limit_rows])
def test_a_table_is_that_of_the_code(rows: object) -> None:
    assert callable(rows)
    text = "\n".join(rows())
    assert text in PAGE.read_text(encoding="utf-8"), f"it should be\n{text}"


@pytest.mark.parametrize(
    "names",
    [
        fields.KEPT,
        sorted(fields.STORAGE_CLASSES),
        tuple(SIZES),
        sorted(parsing.OBJECT_DETAILS),
        sorted(keys.RESERVED),
        tuple(payload._STREAMING),  # its table
    ],
)
def test_names_that_are_taken_are_listed(names: tuple[str, ...]) -> None:
    assert ", ".join(f"`{name}`" for name in names) in PAGE.read_text(encoding="utf-8").replace("\n", " ")
