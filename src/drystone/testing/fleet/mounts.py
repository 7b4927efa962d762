"""Disks of a storage server as file systems of their own: small tmpfs in a mount namespace, for root and for users.

The namespace lives as long as its keeper, a process that sleeps; with it all goes, whatever happened to the test. What
lies on the disks is reached through /proc/KEEPER/root.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Self

_SECONDS = 60.0
_WAITS = "import sys; print('ready', flush=True); sys.stdin.read()"


def dying(words: list[str]) -> list[str]:
    """A command whose process is killed when the thread that starts it ends."""
    return ["setpriv", "--pdeathsig", "KILL", *words]


class Mounts:
    """File systems at folders below `root`. Nothing runs outside of `with`.

    :param folders: existing ones. :param size: bytes of each.
    """

    def __init__(self, root: Path, folders: tuple[Path, ...], size: int) -> None:
        self._root = root
        self._folders = folders
        self._size = size
        self._keeper: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        spaces = ["--mount"] if os.geteuid() == 0 else ["--user", "--map-root-user", "--mount"]
        self._keeper = subprocess.Popen(
            dying(["unshare", *spaces, "--propagation", "private", "python3", "-c", _WAITS]),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._keeper.stdout is not None, "a pipe"
        if self._keeper.stdout.readline() != b"ready\n":
            self.__exit__()
            raise AssertionError("no mount namespace can be made here")
        for folder in self._folders:
            self._aside(folder).mkdir(parents=True, exist_ok=True)
            self._run("mount", "-t", "tmpfs", "-o", f"size={self._size},mode=755", "disk", self._aside(folder))
            self.mount(folder)
        return self

    def __exit__(self, *_: object) -> None:
        if self._keeper is not None:
            self._keeper.kill()
            self._keeper.communicate()
            self._keeper = None

    def _aside(self, folder: Path) -> Path:
        """Where the file system is kept while it is not mounted at `folder`."""
        return self._root / "aside" / folder.relative_to(self._root)

    def inside(self, words: list[str]) -> list[str]:
        """A command as one that runs in the namespace."""
        assert self._keeper is not None, "entered"
        spaces = ["--mount"] if os.geteuid() == 0 else ["--user", "--preserve-credentials", "--mount"]
        return ["nsenter", "--target", str(self._keeper.pid), *spaces, "--wd=/", "--", *words]

    def seen(self, folder: Path) -> Path:
        """The file system that belongs at `folder`, mounted there or not, as seen from here."""
        assert self._keeper is not None, "entered"
        return Path(f"/proc/{self._keeper.pid}/root{self._aside(folder)}")

    def mount(self, folder: Path) -> None:
        """Mount it."""
        self._run("mount", "--bind", self._aside(folder), folder)

    def unmount(self, folder: Path) -> None:
        """Take it away, also while files are open on it."""
        self._run("umount", "--lazy", folder)

    def _run(self, *words: str | Path) -> None:
        done = subprocess.run(
            self.inside([str(word) for word in words]), capture_output=True, text=True, timeout=_SECONDS, check=False
        )
        assert done.returncode == 0, f"{words}: {done.stderr}"


def can_mount() -> bool:
    """Whether this process may make mount namespaces."""
    spaces = ["--mount"] if os.geteuid() == 0 else ["--user", "--map-root-user", "--mount"]
    try:
        done = subprocess.run(["unshare", *spaces, "true"], capture_output=True, timeout=_SECONDS, check=False)
    except FileNotFoundError:
        return False
    return done.returncode == 0
