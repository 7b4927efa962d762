"""What a storage server counts, and what it says of its disks."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from aiohttp import ClientError, web
from aiohttp.test_utils import RawTestServer, TestClient
from prometheus_client import Metric

from drystone.fleet.documents import DiskReport
from drystone.fleet.storage.metrics import (
    Meter,
    describe_disks,
    describe_requests,
    describe_smart,
    find_kind,
    is_scrape,
)
from drystone.fleet.storage.shelf import Bay
from drystone.fleet.storage.upkeep import ScrubState
from drystone.kernel.smart import SmartReport


def visit(meter: Meter) -> TestClient[web.BaseRequest, None]:
    """A client of a server that counts."""
    return TestClient(RawTestServer(meter.handle))


def read(metrics: list[Metric]) -> dict[str, float]:
    """`name{label=value}` to the number."""
    return {
        sample.name + "".join(f" {name}={value}" for name, value in sorted(sample.labels.items())): sample.value
        for metric in metrics
        for sample in metric.samples
    }


def test_requests_are_counted_by_kind_method_and_status() -> None:
    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        body = await request.read()
        if request.path == "/api":
            return web.Response(status=404, text="File not found.")
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(body * 2)
        await response.write_eof()
        return response

    async def run() -> Meter:
        meter = Meter(answer)
        async with visit(meter) as client:
            for _ in range(2):
                async with client.put("/bucket/key", data=b"x" * 5000) as put:
                    assert len(await put.read()) == 10_000
            async with client.get("/api?action=x") as got:
                assert got.status == 404
            async with client.options("/internal/x") as odd:
                await odd.read()
        return meter

    meter = asyncio.run(run())
    found = read(list(describe_requests(meter)))
    assert found["drystone_storage_requests_total kind=s3 method=PUT status=200"] == 2
    assert found["drystone_storage_requests_total kind=legacy method=GET status=404"] == 1
    assert found["drystone_storage_requests_total kind=internal method=other status=200"] == 1
    assert found["drystone_storage_received_bytes_total kind=s3"] == 10_000
    assert 20_000 <= found["drystone_storage_sent_bytes_total kind=s3"] < 22_000
    assert found["drystone_storage_sent_bytes_total kind=legacy"] == len("File not found.")
    assert found["drystone_storage_request_seconds_total kind=s3"] > 0


def test_an_answer_that_breaks_off_is_no_success() -> None:
    async def cut(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "100"})
        await response.prepare(request)
        await response.write(b"half")
        assert request.transport is not None
        request.transport.abort()
        return response

    async def run() -> Meter:
        meter = Meter(cut)
        async with visit(meter) as client, client.get("/bucket/key") as got:
            with pytest.raises(ClientError):
                await got.read()
        return meter

    assert list(asyncio.run(run()).requests) == [("s3", "GET", "cut")]


def test_a_handler_that_fails_is_counted_too() -> None:
    async def fail(_request: web.BaseRequest) -> web.StreamResponse:
        raise web.HTTPServiceUnavailable

    async def run() -> Meter:
        meter = Meter(fail)
        async with visit(meter) as client, client.get("/bucket/key") as got:
            assert got.status == 503
        return meter

    assert list(asyncio.run(run()).requests) == [("s3", "GET", "cut")]


@pytest.mark.parametrize(
    ("method", "target", "authorization", "expected"),
    [
        ("GET", "/metrics", "", True),
        ("GET", "/metrics", "Basic a2V5OnM=", True),
        ("GET", "/metrics", "AWS4-HMAC-SHA256 Credential=x", False),
        ("GET", "/metrics?X-Amz-Signature=1", "", False),
        ("GET", "/metrics?list-type=2", "", False),
        ("GET", "/metrics/key", "", False),
        ("PUT", "/metrics", "", False),
        ("HEAD", "/metrics", "", False),
    ],
)
def test_what_a_bucket_called_metrics_keeps(method: str, target: str, authorization: str, expected: bool) -> None:
    assert is_scrape(method, target, authorization) is expected


def test_whom_a_request_is_for() -> None:
    targets = ("/internal/x", "/api", "/api?action=list", "/api/ns/h", "/apiary/key", "/bucket/internal/x", "/")
    assert [find_kind(each) for each in targets] == ["internal", "legacy", "legacy", "legacy", "s3", "s3", "s3"]


def test_disks_and_how_far_their_scrub_came(tmp_path: Path) -> None:
    good, bad = Bay(tmp_path / "data_1"), Bay(tmp_path / "data_2")
    good.last = DiskReport("data_1", "id-1", "good", 1000, 400)
    bad.last = DiskReport("data_2", "", "bad", 0, 0, "it is gone")
    state = ScrubState(began=50.0, ended=0.0, size=600, damaged=2, mended=1)
    found = read(list(describe_disks([good, bad], {"id-1": state, "id-9": state})))
    assert found == {
        "drystone_storage_disks health=good": 1,
        "drystone_storage_disks health=bad": 1,
        "drystone_storage_disks health=missing": 0,
        "drystone_storage_disk_free_bytes disk=data_1": 400,
        "drystone_storage_disk_capacity_bytes disk=data_1": 1000,
        "drystone_storage_scrub_read_bytes disk=data_1": 600,
        "drystone_storage_scrub_began_timestamp_seconds disk=data_1": 50,
        "drystone_storage_scrub_ended_timestamp_seconds disk=data_1": 0,
        "drystone_storage_scrub_damaged disk=data_1": 2,
        "drystone_storage_scrub_mended disk=data_1": 1,
    }


def test_what_disks_say_of_themselves() -> None:
    told = {"data_1": {"sda": SmartReport(passed=False, sectors=2, celsius=40, hours=9), "sdb": SmartReport()}}
    assert read(list(describe_smart(told))) == {
        "drystone_storage_smart_passed device=sda disk=data_1": 0,
        "drystone_storage_smart_unreadable_sectors device=sda disk=data_1": 2,
        "drystone_storage_smart_temperature_celsius device=sda disk=data_1": 40,
        "drystone_storage_smart_power_on_hours device=sda disk=data_1": 9,
    }
