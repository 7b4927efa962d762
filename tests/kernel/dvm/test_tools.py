"""`dvm` as processes on the real kernel: pipes, memory, Ctrl-C, SIGKILL."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from drystone.base.documents import encode
from drystone.dvm.dmactivate import activate
from drystone.dvm.dmexec import execute
from drystone.dvm.state import Device, Line, State, observe
from drystone.kernel.dm.device_mapper import KernelDeviceMapper

pytestmark = pytest.mark.lab(memory="512M")

TOOL = [sys.executable, "-c", "from drystone.cli.dvm import main; main()"]
HELD = State((Device("a", "U-a", (Line(0, 8192, "zero"),)), Device("b", "U-b", (Line(0, 8192, "zero"),))))
SLOW = """\
program 1
device a
device b
suspend a
jmp-fail out
remove b
jmp-fail undo
resume a insist
exit done
label undo
resume a insist
label out
exit unwound
"""
"""With b open, it takes 5 s with a suspended."""


def run(*words: str, stdin: bytes = b"") -> tuple[int, bytes, bytes]:
    done = subprocess.run([*TOOL, *words], input=stdin, capture_output=True, check=False)
    return done.returncode, done.stdout, done.stderr


@pytest.fixture
def dm() -> Iterator[KernelDeviceMapper]:
    with KernelDeviceMapper() as mapper:
        yield mapper
        result = execute(activate(observe(mapper), State()), mapper)
        assert result.outcome == "done"


@pytest.fixture
def slow(dm: KernelDeviceMapper) -> Iterator[subprocess.Popen[bytes]]:
    """SLOW in a process of its own, once a is suspended."""
    execute(activate(State(), HELD), dm)
    yield from run_slow(dm, TOOL, {})


def run_slow(dm: KernelDeviceMapper, tool: list[str], variables: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """SLOW by this tool with these variables, once a is suspended."""
    number = dm.info("b").number
    handle = os.open(f"/dev/dm-{number.minor}", os.O_RDONLY)
    process = subprocess.Popen(
        [*tool, "dmexec"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, **variables},
    )
    assert process.stdin is not None
    process.stdin.write(SLOW.encode())
    process.stdin.close()
    process.stdin = None
    deadline = time.monotonic() + 60
    while not dm.info("a").suspended:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    yield process
    os.close(handle)
    if process.poll() is None:
        process.kill()
        process.wait()


def document(data: bytes) -> Any:
    return json.loads(data)


def test_three_tools_in_a_row(dm: KernelDeviceMapper, tmp_path: Path) -> None:
    wanted = tmp_path / "wanted.json"
    wanted.write_bytes(encode(HELD))
    code, state, errors = run("observe")
    assert (code, errors) == (0, b"")
    code, program, errors = run("dmactivate", "-", str(wanted), stdin=state)
    assert (code, errors) == (0, b"")
    code, result, errors = run("dmexec", stdin=program)
    assert (code, errors) == (0, b"")
    assert document(result)["outcome"] == "done"
    assert Path("/dev/mapper/a").exists()
    assert activate(observe(dm), HELD).is_empty
    # The same program again: the name is taken, and nothing is changed.
    code, result, errors = run("dmexec", stdin=program)
    assert code == 4
    assert document(result)["outcome"] == "unwound"
    assert {key: document(errors)[key] for key in ("code", "device", "errno")} == {
        "code": "exists",
        "device": "a",
        "errno": errno.EBUSY,
    }
    assert activate(observe(dm), HELD).is_empty


def test_what_was_done_is_told_even_when_a_node_cannot_be_made(dm: KernelDeviceMapper) -> None:
    in_the_way = Path("/dev/mapper/stuck")
    in_the_way.mkdir()
    try:
        code, result, errors = run("dmexec", stdin=b"program 1\ncreate stuck\nload stuck\n  0 8 zero\nresume stuck\n")
        assert document(result)["outcome"] == "done"
        assert code != 0
        assert "stuck" in document(errors)["message"]
    finally:
        in_the_way.rmdir()


def test_memory_is_locked_and_a_signal_waits_for_the_end(slow: subprocess.Popen[bytes], dm: KernelDeviceMapper) -> None:
    status = Path(f"/proc/{slow.pid}/status").read_text()
    locked = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmLck"))
    resident = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS"))
    assert locked > resident / 2 > 0
    slow.send_signal(signal.SIGTERM)
    out, _ = slow.communicate(timeout=60)
    assert slow.returncode == -signal.SIGTERM
    result = document(out)
    assert result["outcome"] == "unwound"
    assert result["error"]["errno_name"] == "EBUSY"
    assert not dm.info("a").suspended


def test_what_a_killed_process_left_is_finished(slow: subprocess.Popen[bytes], dm: KernelDeviceMapper) -> None:
    slow.kill()
    slow.communicate(timeout=60)
    assert dm.info("a").suspended
    result = execute(activate(observe(dm), HELD), dm)
    assert result.outcome == "done"
    assert not dm.info("a").suspended


def test_a_client_of_the_command_server_that_is_killed_leaves_nothing_suspended(
    dm: KernelDeviceMapper, tmp_path: Path
) -> None:
    """Its worker is told SIGTERM, which is held until the program is unwound."""
    execute(activate(State(), HELD), dm)
    client, path = str(Path(sys.executable).parent / "dvm"), str(tmp_path / "s")
    with subprocess.Popen([client, "serve", "--socket", path], stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        assert server.stdout.readline()
        process = next(slow := run_slow(dm, [client], {"DRYSTONE_DVM_SOCKET": path}))
        children = Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split()
        assert any("VmLck:\t       0 kB" not in Path(f"/proc/{each}/status").read_text() for each in children)
        process.kill()
        assert process.wait(60) == -signal.SIGKILL
        deadline = time.monotonic() + 60
        while dm.info("a").suspended:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        server.terminate()
        assert server.wait(60) == 0
        process.communicate()
        assert next(slow, None) is None
    assert activate(observe(dm), HELD).is_empty
