"""Whether iscsid runs, and how it is started."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from drystone.base.errors import UnavailableError, UnsupportedError
from drystone.kernel.iscsi.daemon import ensure_running, is_running
from drystone.kernel.programs import Outcome
from drystone.testing.program_bench import StillClock

HEAD = "Num       RefCount Protocol Flags    Type St Inode Path\n"
SOCKET = "0000000000000000: 00000002 00000000 00010000 0001 01 4711 @ISCSIADM_ABSTRACT_NAMESPACE\n"


@dataclass
class Machine(StillClock):
    """What stands in proc, and what is run. A program in `starters` makes the socket appear after some sleeps."""

    proc: Path
    starters: tuple[str, ...] = ()
    code: int = 0
    late: int = 0
    modules: set[str] = field(default_factory=lambda: {"iscsi_tcp", "sd_mod"})
    ran: list[list[str]] = field(default_factory=list)
    loaded: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()
        (self.proc / "net").mkdir(parents=True)
        self.show("")

    def show(self, lines: str) -> None:
        (self.proc / "net" / "unix").write_text(HEAD + lines)

    def run(self, program: str, arguments: Sequence[str]) -> Outcome:
        self.ran.append([program, *arguments])
        if program in self.starters and not self.late:
            self.show(SOCKET)
        return Outcome(program, self.code, "", "it went wrong" if self.code else "")

    def load(self, name: str) -> bool:
        self.loaded.append(name)
        return name in self.modules

    def sleep(self, seconds: float) -> None:
        super().sleep(seconds)
        self.late -= 1
        if self.late == 0:
            self.show(SOCKET)

    def ensure(self, systemd: Path) -> None:
        ensure_running(self.run, clock=self, proc=str(self.proc), systemd=str(systemd), load=self.load)


def test_one_that_runs_is_left_alone(tmp_path: Path) -> None:
    machine = Machine(tmp_path / "proc")
    assert not is_running(str(machine.proc))
    machine.show(SOCKET.replace("@", "@x") + SOCKET)
    assert is_running(str(machine.proc))
    machine.ensure(tmp_path / "none")
    assert (machine.ran, machine.loaded) == ([], [])


def test_it_is_started_where_there_is_no_systemd(tmp_path: Path) -> None:
    machine = Machine(tmp_path / "proc", ("iscsid",), late=3)
    machine.ensure(tmp_path / "none")
    assert (machine.ran, machine.loaded) == ([["iscsid"]], ["iscsi_tcp", "sd_mod"])


def test_systemd_starts_it(tmp_path: Path) -> None:
    machine = Machine(tmp_path / "proc", ("systemctl",))
    machine.ensure(tmp_path)
    assert machine.ran == [["systemctl", "start", "iscsid.socket"]]


def test_a_module_of_disks_that_is_built_in_is_no_trouble(tmp_path: Path) -> None:
    Machine(tmp_path / "proc", ("iscsid",), modules={"iscsi_tcp"}).ensure(tmp_path / "none")


def test_a_kernel_without_iscsi(tmp_path: Path) -> None:
    machine = Machine(tmp_path / "proc", modules=set())
    with pytest.raises(UnsupportedError, match="iSCSI"):
        machine.ensure(tmp_path / "none")
    assert machine.ran == []


def test_one_that_does_not_start(tmp_path: Path) -> None:
    machine = Machine(tmp_path / "proc", code=1)
    with pytest.raises(UnavailableError, match="it went wrong"):
        machine.ensure(tmp_path / "none")
    assert machine.seconds == 0
    silent = Machine(tmp_path / "other")
    with pytest.raises(UnavailableError, match="did not start"):
        silent.ensure(tmp_path / "none")
    assert 10 <= silent.seconds < 11
