"""The legacy interface of a storage server, over HTTP: its texts, and that S3 sees the same objects."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec

from drystone.fleet.calls import Answer, Calls
from drystone.fleet.documents import Key
from drystone.fleet.storage.settings import Legacy
from drystone.testing.fleet.bodies import read
from drystone.testing.fleet.servers import ADMIN, SECRET, FleetServers

Call = Callable[..., Awaitable[Answer]]


def run_fleet(
    folder: Path, action: Callable[[FleetServers, Call], Awaitable[None]], *, legacy: Legacy = "auto"
) -> None:
    async def run() -> None:
        async with FleetServers(folder, disks=3, legacy=legacy) as fleet, Calls("no-secret-is-needed") as calls:

            async def call(
                method: str, path: str, body: bytes = b"", server: str = "s1", headers: dict[str, str] | None = None
            ) -> Answer:
                return await calls.call(
                    method, fleet.server(server).url + path, body, headers={"Authorization": "", **(headers or {})}
                )

            await action(fleet, call)

    asyncio.run(run())


def said(answer: Answer) -> tuple[int, str]:
    return answer.status, answer.body.decode()


def test_objects_come_and_go(tmp_path: Path) -> None:
    async def check(fleet: FleetServers, call: Call) -> None:
        data = bytes(range(256)) * 5000
        md5 = hashlib.md5(data, usedforsecurity=False)
        headers = {"Content-MD5": base64.b64encode(md5.digest()).decode()}
        path = "/api/zbase/host1/sub/dir/file"
        assert said(await call("POST", path, data, headers=headers)) == (200, "Saved file to disk")
        other = await call("GET", path, server="s2")
        assert (other.status, other.body, other.headers["etag"]) == (200, data, f'"{md5.hexdigest()}"')
        part = await call("GET", path, headers={"Range": "bytes=255-257"})
        assert (part.status, part.body, part.headers["content-range"]) == (
            206,
            b"\xff\0\1",
            f"bytes 255-257/{len(data)}",
        )
        head = await call("HEAD", path)
        assert (head.status, head.body, head.headers["content-length"]) == (200, b"", str(len(data)))
        host = fleet.server("s1").url.removeprefix("http://")
        listed = await call("GET", "/api/zbase/host1?action=list")
        assert said(listed) == (202, f"s3://{host}/zbase/host1/sub/\n")
        recursive = await call("GET", "/api/zbase/host1?action=list&recursive=true")
        assert said(recursive) == (202, f"s3://{host}/zbase/host1/sub/dir/file\n")
        one = await call("GET", path + "?action=list")
        assert (one.status, one.headers["etag"]) == (202, f'"{md5.hexdigest()}"')
        objects = fleet.server("s2").objects
        info = await objects.head("zbase", "host1/sub/dir/file")
        assert await read(objects, "zbase", info) == data
        assert (await call("DELETE", path)).body.startswith(b"Deleted ")
        assert said(await call("DELETE", path)) == (404, "File not found.")
        assert said(await call("GET", path + "?action=list")) == (400, "File not found.")
        assert (await call("GET", path)).status == 404

    run_fleet(tmp_path, check)


def test_a_wrong_md5_is_refused_and_nothing_is_kept(tmp_path: Path) -> None:
    async def check(_: FleetServers, call: Call) -> None:
        wrong = {"Content-MD5": base64.b64encode(bytes(16)).decode()}
        assert (await call("POST", "/api/zbase/host1/file", b"bytes", headers=wrong)).status == 400
        assert (await call("GET", "/api/zbase/host1/file")).status == 404
        for odd in ("???", "é", "AAAA"):
            assert (await call("POST", "/api/zbase/host1/file", b"b", headers={"Content-MD5": odd})).status == 400

    run_fleet(tmp_path, check)


def test_actions(tmp_path: Path) -> None:
    async def check(_: FleetServers, call: Call) -> None:
        async def act(query: str) -> tuple[int, str]:
            return said(await call("GET", f"/api?action={query}"))

        spare = {"primary": "spare", "secondary": "spare"}
        status, text = await act("get_config")
        assert (status, json.loads(text)) == (200, {"data_1": spare, "data_2": spare, "data_3": spare})
        order = "initialize_host&host_name=host1&type=primary&game_id=zbase&disk=data_1&promote=false"
        assert await act(order) == (201, "Host initialized")
        taken = json.loads((await act("get_config"))[1])
        (place,) = [(disk, slot) for disk, slots in taken.items() for slot, host in slots.items() if host == "host1"]
        again = f"initialize_host&host_name=host2&type={place[1]}&game_id=zbase&disk={place[0]}"
        assert await act(again) == (400, "Disk is not spare.")
        assert await act("get_game_id&host_name=host1") == (200, "zbase")
        assert await act(f"make_spare&disk={place[0]}&type={place[1]}") == (400, "Disk is not spare.")
        assert await act("add_entry&type=dirty_files&entry=a") == (200, "Successfully add entry to file.")
        assert await act("get_file&type=dirty_files") == (200, "a\n")
        assert await act("remove_entry&type=dirty_files&entry=a") == (200, "Successfully removed entry from file.")
        assert await act("get_file&type=dirty_files") == (200, "")
        assert await act("add_entry&type=unknown&entry=a") == (400, "Invalid file type")
        assert await act("add_entry&type=bad_disk&entry=data_9") == (400, "Invalid arguments.")
        for wrong in ("", "unknown", "initialize_host", "get_mtime", "copy_host"):
            assert await act(wrong) == (400, "Invalid arguments.")

    run_fleet(tmp_path, check)


def test_paths_that_lead_nowhere(tmp_path: Path) -> None:
    async def check(_: FleetServers, call: Call) -> None:
        for path in ("/api/internal/x/y", "/api/%00/x/y", "/api/%ff/x", "/api/zbase/loose", "/api/zbase/host/"):
            assert (await call("POST", path, b"x")).status in {400, 404}, path

    run_fleet(tmp_path, check)
    assert list(tmp_path.glob("**/x*")) == []


def test_a_stranger_reaches_nothing_of_the_fleet_itself(tmp_path: Path) -> None:
    async def check(_: FleetServers, call: Call) -> None:
        for path in ("/internal/members/learn", "/internal/objects", "/internal/nothing", "/internal/../api"):
            for headers in ({}, {"Authorization": "Bearer wrong"}):
                assert (await call("POST", path, b"{}", headers=headers)).status == 403, path
        assert (await call("GET", "/bucket/key")).status == 403

    run_fleet(tmp_path, check)


def basic(access: str, secret: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{access}:{secret}".encode()).decode()}


def test_where_a_key_is_needed_nothing_goes_without_one(tmp_path: Path) -> None:
    async def check(fleet: FleetServers, call: Call) -> None:
        right = basic(ADMIN.access_key, ADMIN.secret)
        wrong: tuple[dict[str, str], ...] = (
            {},
            basic(ADMIN.access_key, "wrong"),
            basic("", ""),
            basic("nobody", "x"),
            {"Authorization": "Basic ?"},
            {"Authorization": "Basic é"},
        )
        for headers in wrong:
            for method, path in (
                ("POST", "/api/zbase/host/file"),
                ("GET", "/api/zbase/host/file"),
                ("GET", "/api?action=get_config"),
            ):
                answer = await call(method, path, b"x" if method == "POST" else b"", headers=headers)
                assert (answer.status, answer.body) == (403, b"Access denied.")
        assert (await call("POST", "/api/zbase/host/file", b"x", headers=right)).status == 200
        assert (await call("GET", "/api/zbase/host/file", headers=right)).body == b"x"
        assert (await call("GET", "/api?action=get_config", headers=right)).status == 200
        reader = Key("READER", "readers-secret-of-a-test", {"zbase": "read"})
        async with Calls(SECRET) as inside:
            made = await inside.call("POST", f"{fleet.mapper_url}/internal/keys", msgspec.json.encode(reader))
            assert made.status == 200
        await fleet.wait_for(lambda: reader.access_key in fleet.server("s1").standings.atlas.keys)
        may = basic(reader.access_key, reader.secret)
        assert (await call("GET", "/api/zbase/host/file", headers=may)).body == b"x"
        for method, path in (
            ("POST", "/api/zbase/host/file"),
            ("DELETE", "/api/zbase/host/file"),
            ("GET", "/api/other/host/file"),
            ("GET", "/api?action=get_config"),
        ):
            assert (await call(method, path, b"x" if method == "POST" else b"", headers=may)).status == 403
        assert (await call("GET", "/api/zbase/host/file", headers=may)).body == b"x"

    run_fleet(tmp_path, check, legacy="key")
