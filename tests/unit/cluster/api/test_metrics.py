"""The record as Prometheus text."""

from __future__ import annotations

import httpx
import pytest

from drystone.cluster.queue.publishing import Counts
from drystone.testing.cluster.client import AGENT, GIB, OPERATOR, VIEWER, Client


def ask(client: Client, token: str) -> httpx.Response:
    return client.send("GET", "http://api/metrics", token=token)


@pytest.mark.parametrize(("token", "status"), [("", 401), ("nobodys-token-at-all", 401), (AGENT, 403)])
def test_who_may_not_look_is_told_nothing(client: Client, token: str, status: int) -> None:
    answer = ask(client, token)
    assert answer.status_code == status
    assert "drystone_cluster" not in answer.text


def test_counts_of_what_is_recorded(client: Client) -> None:
    client.make_group("d1", "d2")
    client.make_dpvs("d3", available=False, location="rack3")
    client.make_ihost("h1")
    client.make_dlv()
    client.make_dlv("logs")
    client.must("POST", "/dlvs/db/extend", {"size": GIB})
    for token in (VIEWER, OPERATOR):
        answer = ask(client, token)
        assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
        lines = answer.text.splitlines()
    for line in (
        'drystone_cluster_dlvs{status="creating"} 2.0',
        'drystone_cluster_legs{state="unmade"} 10.0',
        'drystone_cluster_legs{state="in_sync"} 0.0',
        'drystone_cluster_jobs{kind="extend",status="creating"} 1.0',
        'drystone_cluster_dpv_available{dpv="d1",dvg="fast",location=""} 1.0',
        'drystone_cluster_dpv_available{dpv="d3",dvg="",location="rack3"} 0.0',
        'drystone_cluster_ihost_available{ihost="h1"} 1.0',
        'drystone_cluster_ihost_dlvs{ihost="h1"} 0.0',
    ):
        assert line in lines, line
    (size,) = (line.split()[1] for line in lines if line.startswith('drystone_cluster_dpv_size_bytes{dpv="d1"}'))
    assert float(size) == 100 * GIB
    assert f"drystone_cluster_events_total {len(client.events())}.0" in lines


def test_an_empty_record_has_numbers_too(client: Client) -> None:
    lines = ask(client, VIEWER).text.splitlines()
    assert 'drystone_cluster_legs{state="behind"} 0.0' in lines
    assert "drystone_cluster_events_total 0.0" in lines


def test_a_broker_is_told_of_where_there_is_one(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "drystone_cluster_queue" not in ask(client, VIEWER).text
    monkeypatch.setattr(client.desk, "queue", Counts(sent=7, dropped=2, state="away"))
    lines = ask(client, VIEWER).text.splitlines()
    for line in ("connected 0.0", "sent_total 7.0", "dropped_total 2.0"):
        assert f"drystone_cluster_queue_{line}" in lines, line
    assert client.must("GET", "/health")["queue"] == "away"
