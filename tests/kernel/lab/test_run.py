"""Commands in a guest: streams, ends, and what stays inside."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from pathlib import Path

import pytest

from drystone.base.errors import DrystoneError, TimedOutError, UnavailableError
from drystone.lab.command import Result
from drystone.lab.lab import Guest


def test_output_errors_and_exit_code_are_kept_apart(guest: Guest) -> None:
    result = guest.run(["sh", "-c", "echo out; echo err >&2; exit 7"])
    assert (result.stdout, result.stderr, result.status) == (b"out\n", b"err\n", 7)


def test_a_signal_is_a_negative_status(guest: Guest) -> None:
    assert guest.run(["sh", "-c", "kill -TERM $$"]).status == -signal.SIGTERM


def test_a_program_that_does_not_exist_is_127_and_one_that_may_not_run_126(guest: Guest) -> None:
    assert guest.run(["no-such-program"]).status == 127
    assert guest.run(["/etc/passwd"]).status == 126


def test_it_is_another_kernel_with_this_interpreter_and_folder(guest: Guest) -> None:
    program = "import os, sys, drystone; print(os.uname().nodename, sys.executable, os.getcwd(), drystone.__file__)"
    import drystone

    name, executable, folder, source = guest.run(["python", "-c", program]).check().text.split()
    assert name == "node1"
    assert Path(executable).parent == Path(sys.executable).parent
    assert (folder, source) == (str(Path.cwd()), drystone.__file__)
    assert guest.run(["uname", "-r"]).text.strip() != os.uname().release


def test_bytes_pass_unchanged_both_ways(guest: Guest) -> None:
    data = bytes(range(256)) * 512
    assert guest.run(["cat"], input=data, timeout=60).stdout == data
    big = guest.run(["head", "-c", "3000000", "/dev/zero"], timeout=60).stdout
    assert big == bytes(3_000_000)


def test_input_that_nobody_reads_hurts_nobody(guest: Guest) -> None:
    assert guest.run(["true"], input=bytes(400_000), timeout=120).status == 0


def test_a_time_limit_ends_the_command_and_its_children(guest: Guest) -> None:
    with pytest.raises(TimedOutError) as caught:
        guest.run(["sh", "-c", "echo begun; sleep 86399 & sleep 86399"], timeout=1)
    assert caught.value.facts["stdout"] == "begun\n"
    for _ in range(50):
        if "86399" not in guest.run(["sh", "-c", "cat /proc/*/cmdline | tr '\\0' ' '"], timeout=120).text.replace(
            "sh -c", ""
        ):
            return
    pytest.fail("the command's children are still there")


def test_commands_run_side_by_side_and_a_slow_reader_holds_up_nobody(guest: Guest) -> None:
    results: list[Result] = []
    sleeper = guest.start(["sh", "-c", "head -c 3000000 /dev/zero; sleep 60"], stdout=lambda _: None, stderr=print)
    threads = [
        threading.Thread(target=lambda n=n: results.append(guest.run(["sh", "-c", f"sleep 0.2; echo {n}"])))
        for n in range(5)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert sorted(result.text for result in results) == [f"{n}\n" for n in range(5)]
    sleeper.drain()
    assert sleeper.kill() == -signal.SIGKILL


def test_a_daemon_that_keeps_the_output_open_holds_up_nobody_and_lives_on(guest: Guest) -> None:
    script = "(while sleep 0.05; do echo more; done) & echo $!; head -c 200000 /dev/zero; exit 3"
    result = guest.run(["sh", "-c", script], timeout=120)
    assert result.status == 3
    number, _, rest = result.stdout.partition(b"\n")
    assert rest.count(b"\0") == 200_000
    time.sleep(0.2)  # time for it to write to nobody
    assert guest.run(["sh", "-c", f"kill {number.decode()}"]).status == 0


def test_a_terminal_has_its_size_and_keys_that_interrupt(guest: Guest) -> None:
    seen = bytearray()
    script = "tty; stty size; trap 'stty size; exit 4' INT; echo ready; while :; do sleep 0.05; done"
    command = guest.start(["sh", "-c", script], stdout=seen.extend, stderr=seen.extend, terminal=(24, 81))
    command.drain()
    deadline = time.monotonic() + 60
    while b"ready" not in seen and time.monotonic() < deadline:
        time.sleep(0.02)
    command.resize(30, 99)
    command.write(b"\x03")
    assert command.wait(120) == 4
    assert seen.decode().replace("^C", "").split("\r\n") == ["/dev/pts/0", "24 81", "ready", "30 99", ""]


def test_standard_streams_have_names(guest: Guest) -> None:
    assert guest.run(["sh", "-c", "cat /dev/stdin > /dev/fd/1"], input="through").text == "through"


def test_nothing_reaches_the_host(guest: Guest, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.write_text("host")
    script = f"echo guest > {mine}; echo guest > {tmp_path}/new; touch /etc/new /var/new; cat {mine}; rm {mine}"
    assert guest.run(["sh", "-c", script]).text == "guest\n"
    assert mine.read_text() == "host"
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
    assert not Path("/etc/new").exists()
    assert not Path("/var/new").exists()
    assert guest.run(["sh", "-c", "mount -o remount,rw / && mknod /run/null c 1 3 && touch /run/x"]).status == 0


def test_modules_are_loaded_when_they_are_asked_for(guest: Guest) -> None:
    loaded = "grep -c '^dm_era ' /proc/modules"
    assert guest.run(["sh", "-c", loaded]).text.strip() == "0"
    table = (
        "0 8 era /dev/null /dev/null 8"  # refused for its devices, after the kernel has asked for the target's module
    )
    guest.run(["dmsetup", "create", "x", "--table", table])
    assert guest.run(["sh", "-c", loaded]).text.strip() == "1"


def add_up(*numbers: int, times: int = 1) -> int:
    sys.stdout.write("adding\n")
    sys.stdout.flush()
    return sum(numbers) * times


def fail() -> None:
    raise ValueError("as it should")


def test_a_warm_interpreter_calls_functions(guest: Guest) -> None:
    with guest.python() as python:
        pid = python.call("os:getpid")
        assert python.call(add_up, 1, 2, times=3, timeout=120) == 9
        with pytest.raises(DrystoneError, match="ValueError: as it should") as caught:
            python.call(fail)
        assert "in fail" in str(caught.value.facts["traceback"])
        assert python.call("os:getpid") == pid
        assert "adding" in python.printed
        with pytest.raises(UnavailableError):
            python.call("os:_exit", 3)
        assert python.call("os:getpid") != pid
        with pytest.raises(TimedOutError):
            python.call("time:sleep", 60, timeout=0.2)


def test_an_unknown_command_line_is_refused(guest: Guest) -> None:
    with pytest.raises(DrystoneError, match="no command"):
        guest.run([])
