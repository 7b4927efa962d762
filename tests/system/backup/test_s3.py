"""Backups at a real S3 server by the command line: made, listed, restored, deleted, and the server killed meanwhile."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from drystone.base.errors import UnavailableError
from drystone.cli.exits import INTERRUPTED
from drystone.testing.backup_command import BackupCommand, check_backups_live, write_image
from drystone.testing.proxy import Fault, FaultyProxy, Silence, Slow
from drystone.testing.s3 import SECRET, S3Server, start_server, why_absent

MIB = 1 << 20


@pytest.fixture
def server(tmp_path: Path) -> Iterator[S3Server]:
    if why := why_absent():
        pytest.skip(why)
    with start_server(tmp_path / "s3") as started:
        yield started


def command(variables: dict[str, str]) -> BackupCommand:
    return BackupCommand(variables, SECRET)


@contextmanager
def behind_proxy(server: S3Server) -> Iterator[tuple[FaultyProxy, BackupCommand, str]]:
    """A proxy before the server, the command line that goes through it, and a destination in a bucket of its own."""
    with FaultyProxy(server.port) as proxy:
        yield proxy, command(server.environ(endpoint=proxy.endpoint)), f"s3://{server.make_bucket()}/x"


def test_a_backup_lives_in_s3(server: S3Server, tmp_path: Path) -> None:
    dest = f"s3://{server.make_bucket()}@us-east-1/hosts/a/"
    check_backups_live(command(server.environ()), dest, tmp_path, ("delete", "{first}"))


def test_a_destination_is_a_path_of_its_own(server: S3Server, tmp_path: Path) -> None:
    cli = command(server.environ())
    bucket = server.make_bucket()
    image = tmp_path / "image"
    write_image(image, 2, 4 * MIB)
    urls = {
        dest: cli.run("create", image, "--dest", dest, "--no-encryption").strip()
        for dest in (f"s3://{bucket}/vol1", f"s3://{bucket}/vol10", f"s3://{bucket}")
    }
    cli.run("delete", urls[f"s3://{bucket}/vol1"])
    for dest in (f"s3://{bucket}/vol10", f"s3://{bucket}"):
        cli.run("verify", urls[dest])


def test_a_server_that_comes_back_is_waited_for(server: S3Server, tmp_path: Path) -> None:
    image = tmp_path / "image"
    write_image(image, 3, 48 * MIB)
    with behind_proxy(server) as (proxy, cli, dest):
        proxy.plan(slow_packs)
        making = cli.start("create", image, "--dest", dest, "--no-encryption")
        await_(lambda: len(packs(proxy)) >= 2)
        time.sleep(0.2)
        server.kill()
        time.sleep(1.0)
        server.start()
        proxy.plan(None)
        out, err = making.communicate(timeout=300)
        assert making.returncode == 0, err
        cli.run("restore", out.strip(), tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == image.read_bytes()


def test_a_server_that_stays_dead_loses_no_earlier_backup(server: S3Server, tmp_path: Path) -> None:
    image, back = tmp_path / "image", tmp_path / "back"
    write_image(image, 4, 48 * MIB)
    with behind_proxy(server) as (proxy, cli, dest):
        first = cli.run("create", image, "--dest", dest, "--no-encryption").strip()
        before = image.read_bytes()
        write_image(image, 5, 48 * MIB)
        known = len(packs(proxy))
        proxy.plan(slow_packs)
        making = command({**cli.variables, "DRYSTONE_STORE_PATIENCE": "3"}).start("create", image, "--dest", dest)
        await_(lambda: len(packs(proxy)) >= known + 2)
        server.kill()
        out, err = making.communicate(timeout=300)
        assert making.returncode == UnavailableError.exit_code, (out, err)
        assert out == ""
        assert len(err.splitlines()) <= 2, err
        assert dest.split("/")[2] in err
        server.start()
        proxy.plan(None)
        assert [each["url"] for each in cli.document("list", dest)] == [first]
        cli.run("prune", dest)
        second = cli.run("create", image, "--dest", dest).strip()
        for url, bytes_ in ((first, before), (second, image.read_bytes())):
            cli.run("restore", url, back, "--overwrite")
            assert back.read_bytes() == bytes_


def test_a_client_that_is_killed_leaves_what_prune_removes(server: S3Server, tmp_path: Path) -> None:
    image = tmp_path / "image"
    write_image(image, 6, 48 * MIB)
    with behind_proxy(server) as (proxy, cli, dest):
        proxy.plan(slow_packs)
        making = cli.start("create", image, "--dest", dest, "--no-encryption")
        await_(lambda: len(packs(proxy)) >= 2)
        making.kill()
        making.communicate()
        proxy.plan(None)
        assert cli.document("list", dest) == []
        cli.run("prune", dest)
        url = cli.run("create", image, "--dest", dest).strip()
        cli.run("restore", url, tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == image.read_bytes()


def test_ctrl_c_ends_without_another_try_at_a_silent_store(server: S3Server, tmp_path: Path) -> None:
    image = tmp_path / "image"
    write_image(image, 7, 48 * MIB)
    with behind_proxy(server) as (proxy, cli, dest):
        first = cli.run("create", image, "--dest", dest, "--no-encryption").strip()
        write_image(image, 8, 48 * MIB)
        for cleans_up in (True, False):
            known = len(packs(proxy))
            proxy.plan(silent_packs)
            making = cli.start("create", image, "--dest", dest)
            await_(partial(has_packs, proxy, known + 2))
            if not cleans_up:
                proxy.plan(lambda _number, _line: Silence())
            asked = list(proxy.lines)
            making.send_signal(signal.SIGINT)
            out, err = making.communicate(timeout=300)
            # A silent request is waited for half a minute, and made again.
            assert all(line not in asked for line in proxy.lines[len(asked) :] if line.startswith("PUT "))
            assert (making.returncode, out, err) == (INTERRUPTED, "", "drystone: interrupted\n")
            proxy.plan(None)
            pruned = cli.document("prune", dest)["done"]
            assert pruned["packs"] == 0 or not cleans_up, "where the store answers, what was put is taken back"
        assert [each["url"] for each in cli.document("list", dest)] == [first]
        cli.run("verify", first)


def test_what_is_missing_is_said_in_one_line(server: S3Server, tmp_path: Path) -> None:
    cli = command(server.environ())
    bucket = server.make_bucket()
    assert "there is no repository of backups" in cli.run("list", f"s3://{bucket}/x", code=3)
    assert "there is no such bucket" in cli.run("list", "s3://no-such-bucket-here/x", code=2)
    wrong = command(server.environ(secret="guessed"))
    assert "does not accept the credentials" in wrong.run("list", f"s3://{bucket}/x", code=6)
    nobody = command({**server.environ(key="", secret=""), "AWS_EC2_METADATA_DISABLED": "true"})
    assert "no credentials were found" in nobody.run("list", f"s3://{bucket}/x", code=6)


def slow_packs(_number: int, line: str) -> Fault | None:
    return Slow(4 * MIB) if line.startswith("PUT ") and "/packs/" in line else None


def silent_packs(_number: int, line: str) -> Fault | None:
    return Silence() if line.startswith("PUT ") and "/packs/" in line else None


def packs(proxy: FaultyProxy) -> list[str]:
    return [line for line in list(proxy.lines) if line.startswith("PUT ") and "/packs/" in line]


def has_packs(proxy: FaultyProxy, least: int) -> bool:
    return len(packs(proxy)) >= least


def await_(condition: Callable[[], bool]) -> None:
    """Wait until it holds. :raises AssertionError: it does not within a minute."""
    over = threading.Event()
    for _ in range(3000):
        if condition():
            return
        over.wait(0.02)
    raise AssertionError("it did not come to pass")
