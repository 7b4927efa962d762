"""boto3 on a fleet of two servers behind TLS: with the bucket in the path, and in the host's name."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import boto3  # type: ignore[import-untyped]
import httpx
import pytest
from botocore.config import Config  # type: ignore[import-untyped]
from botocore.exceptions import SSLError  # type: ignore[import-untyped]

from drystone.testing.fleet.background import serving
from drystone.testing.fleet.certificates import make_certificate
from drystone.testing.fleet.servers import ADMIN, FleetServers
from drystone.wire.tcp import TlsFiles

DOMAIN = "s3.test"


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
    writer.close()


async def _connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """What a proxy does for https; every name is this machine's."""
    head = await reader.readuntil(b"\r\n\r\n")
    port = int(head.split(b" ")[1].rpartition(b":")[2])
    there, back = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"HTTP/1.1 200 Connected\r\n\r\n")
    await asyncio.gather(_pass_on(reader, back), _pass_on(there, writer))


@asynccontextmanager
async def _start(folder: Path, tls: TlsFiles) -> AsyncIterator[str]:
    """Ports of the servers, and that of a proxy to whom every host of the domain is this machine."""
    async with FleetServers(folder, tls=tls, domain=DOMAIN) as fleet:
        urls = [fleet.server(each).url for each in ("s1", "s2")]
        assert all(url.startswith("https://127.0.0.1:") for url in urls)
        async with await asyncio.start_server(_connect, "127.0.0.1", 0) as proxy:
            ports = [url.rpartition(":")[2] for url in urls]
            yield " ".join([*ports, f"{proxy.sockets[0].getsockname()[1]}"])


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> TlsFiles:
    return make_certificate(tmp_path_factory.mktemp("tls"), DOMAIN, f"*.{DOMAIN}")


@pytest.fixture(scope="module")
def ports(tls: TlsFiles, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[str]]:
    folder = tmp_path_factory.mktemp("fleet")
    with serving(lambda: _start(folder, tls), "fleet") as text:
        yield text.split()


@pytest.fixture(scope="module")
def proxy(ports: list[str]) -> str:
    return f"http://127.0.0.1:{ports[2]}"


@pytest.fixture(scope="module")
def connect(ports: list[str], proxy: str, tls: TlsFiles) -> Iterator[Callable[..., Any]]:
    made = []

    def make(style: str, server: int, *, signature: str = "s3v4", verify: object = None) -> Any:
        host = "127.0.0.1" if style == "path" else DOMAIN
        client = boto3.client(
            "s3",
            endpoint_url=f"https://{host}:{ports[server]}",
            aws_access_key_id=ADMIN.access_key,
            aws_secret_access_key=ADMIN.secret,
            region_name="us-east-1",
            verify=verify or str(tls.certificate),
            config=Config(
                signature_version=signature,
                retries={"max_attempts": 0},
                s3={"addressing_style": style},
                proxies={"https": proxy} if style == "virtual" else {},
            ),
        )
        made.append(client)
        return client

    yield make
    for each in made:
        each.close()


@pytest.mark.parametrize("style", ["path", "virtual"])
def test_a_round_trip(style: str, connect: Callable[..., Any]) -> None:
    one, two = connect(style, 0), connect(style, 1)
    bucket, data = f"trip-{style}", bytes(range(256)) * 30_000
    one.create_bucket(Bucket=bucket)
    for number, client in enumerate((one, two)):
        key = f"host-{number}/a b+c&d=e/Übung%20"
        client.put_object(Bucket=bucket, Key=key, Body=data, ChecksumAlgorithm="CRC32C")
        for reader in (one, two):
            assert reader.get_object(Bucket=bucket, Key=key)["Body"].read() == data
        upload = client.create_multipart_upload(Bucket=bucket, Key="parts/x")["UploadId"]
        part = {"Bucket": bucket, "Key": "parts/x", "UploadId": upload}
        etag = client.upload_part(**part, PartNumber=1, Body=b"part")["ETag"]
        parts = {"Parts": [{"PartNumber": 1, "ETag": etag}]}
        location = client.complete_multipart_upload(**part, MultipartUpload=parts)["Location"]
        assert location.startswith("https://")
        client.copy_object(Bucket=bucket, Key="copied/x", CopySource={"Bucket": bucket, "Key": key})
        listed = client.list_objects_v2(Bucket=bucket, Prefix="copied/", Delimiter="/")
        assert [each["Key"] for each in listed["Contents"]] == ["copied/x"]
    every = [{"Key": each["Key"]} for each in two.list_objects_v2(Bucket=bucket)["Contents"]]
    assert len(two.delete_objects(Bucket=bucket, Delete={"Objects": every})["Deleted"]) == len(every) == 4
    two.delete_bucket(Bucket=bucket)
    assert bucket not in [each["Name"] for each in one.list_buckets()["Buckets"]]


@pytest.mark.parametrize("signature", ["s3v4", "s3"])
@pytest.mark.parametrize("style", ["path", "virtual"])
def test_presigned_addresses(
    style: str, signature: str, connect: Callable[..., Any], proxy: str, tls: TlsFiles
) -> None:
    client = connect(style, 0, signature=signature)
    bucket = f"presigned-{style}-{signature}"
    connect("path", 0).create_bucket(Bucket=bucket)
    named = {"Bucket": bucket, "Key": "host/Ü b"}
    put, get = (client.generate_presigned_url(each, named, ExpiresIn=60) for each in ("put_object", "get_object"))
    used = proxy if style == "virtual" else None
    trusted = ssl.create_default_context(cafile=str(tls.certificate))
    with httpx.Client(verify=trusted, proxy=used, trust_env=False) as web:
        assert (bucket in httpx.URL(get).host) == (style == "virtual")
        assert web.put(put, content=b"content").status_code == 200
        assert web.get(get).content == b"content"
        assert web.get(get.replace("host", "other")).status_code == 403
        assert web.delete(get).status_code == 403


def test_a_policy_knows_that_it_is_tls(connect: Callable[..., Any]) -> None:
    client, bucket = connect("path", 1), "only-tls"
    client.create_bucket(Bucket=bucket)
    statement = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*Object",
        "Resource": f"arn:aws:s3:::{bucket}/*",
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
    client.put_bucket_policy(Bucket=bucket, Policy=json.dumps({"Statement": [statement]}))
    client.put_object(Bucket=bucket, Key="host/key", Body=b"")
    statement["Condition"] = {"Bool": {"aws:SecureTransport": "true"}}
    client.put_bucket_policy(Bucket=bucket, Policy=json.dumps({"Statement": [statement]}))
    with pytest.raises(client.exceptions.ClientError, match="AccessDenied"):
        client.put_object(Bucket=bucket, Key="host/key", Body=b"")


def test_who_does_not_trust_the_certificate_sends_nothing(connect: Callable[..., Any], tmp_path: Path) -> None:
    other = make_certificate(tmp_path, DOMAIN, f"*.{DOMAIN}")
    with pytest.raises(SSLError):
        connect("path", 0, verify=str(other.certificate)).list_buckets()
