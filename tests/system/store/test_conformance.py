"""A real S3 server passes the check that every store passes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable

import pytest

from drystone.store import Store, open_store
from drystone.testing.s3 import S3Server
from drystone.testing.stores import CONFORMANCE, check_deleting, check_listing, check_put_and_get

CHECKS = [check for check in CONFORMANCE if check is not check_listing]


@pytest.mark.parametrize("check", CHECKS, ids=[check.__name__ for check in CHECKS])
def test_a_real_s3_server_conforms(check: Callable[[Store], None], server: S3Server, bucket: str) -> None:
    check(open_store(f"s3://{bucket}@us-east-1/deep/store/", environ=server.environ()))


def test_a_real_s3_server_conforms_in_listing(server: S3Server, crowded: str) -> None:
    # The check itself is passed where `crowded` is made.
    listed = list(open_store(f"s3://{crowded}/x", environ=server.environ()).list(""))
    assert len(listed) == len(set(listed)) == 1105


@pytest.mark.parametrize("path", ["", "/with blank/a=1,b@c+d.e_f-g/"], ids=["bucket", "odd"])
@pytest.mark.parametrize("check", [check_put_and_get, check_deleting], ids=["put", "delete"])
def test_any_path_conforms(check: Callable[[Store], None], path: str, server: S3Server, bucket: str) -> None:
    check(open_store(f"s3://{bucket}{path}", environ=server.environ()))


def test_stores_whose_paths_begin_alike_do_not_meet(server: S3Server, bucket: str) -> None:
    stores = [open_store(f"s3://{bucket}/{path}", environ=server.environ()) for path in ("vol1", "vol10", "vol")]
    for number, store in enumerate(stores):
        assert store.put_if_absent("a", b"%d" % number)
    stores[0].delete("a")
    assert [list(store.list("")) for store in stores] == [[], [("a", 1)], [("a", 1)]]
    assert [stores[1].get("a"), stores[2].get("a")] == [b"1", b"2"]


def test_foreign_objects_are_not_listed(server: S3Server, bucket: str) -> None:
    import obstore
    from obstore.store import S3Store

    variables = server.environ()
    client = S3Store(
        bucket, endpoint=server.endpoint, region="us-east-1", access_key_id=variables["AWS_ACCESS_KEY_ID"],
        secret_access_key=variables["AWS_SECRET_ACCESS_KEY"], client_options={"allow_http": True},
    )  # fmt: skip
    for path in ("store/.hidden", "store/with blank", "store/ä", "store/.drystone-conditional-writes"):
        obstore.put(client, path, b"x")
    store = open_store(f"s3://{bucket}/store", environ=variables)
    assert store.put_if_absent("mine", b"")
    assert list(store.list("")) == [("mine", 0)]


def test_one_winner_among_processes(server: S3Server, bucket: str) -> None:
    program = (
        "import sys; from drystone.store import open_store\n"
        "store = open_store(sys.argv[1]); print('ready', flush=True); sys.stdin.readline()\n"
        "print(sum(store.put_if_absent(f'race/{n}', sys.argv[2].encode() * 5000) for n in range(30)))"
    )
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", program, f"s3://{bucket}/x", str(number)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, **server.environ()},
        )
        for number in range(3)
    ]  # fmt: skip
    for racer in racers:
        assert racer.stdout is not None
        assert racer.stdout.readline() == "ready\n"
    wins = [int(out) for out, _ in _end_together(racers)]
    assert sum(wins) == 30


def _end_together(racers: list[subprocess.Popen[str]]) -> list[tuple[str, str]]:
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("go\n")
        racer.stdin.flush()
    return [racer.communicate(timeout=120) for racer in racers]
