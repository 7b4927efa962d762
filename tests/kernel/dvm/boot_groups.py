"""Groups on disks, made by the commands of `dvm` within this process: what the test of the boot calls in a guest.

A module without pytest, which takes seconds to load in a guest.
"""

from __future__ import annotations

import contextlib
import io
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from drystone.cli.dvm import dvm
from drystone.cli.exits import run

_DEVICES, _GROUP = "/run/devices.json", "/run/group.json"


def call(*words: str) -> str:
    """Run a command of `dvm`, which must go well; what it prints."""
    out, errors = io.BytesIO(), io.StringIO()
    with contextlib.redirect_stdout(io.TextIOWrapper(out, write_through=True)), contextlib.redirect_stderr(errors):
        code = run(dvm, words, name="dvm")
        printed = out.getvalue().decode()
    assert code == 0, (words, errors.getvalue())
    return printed


def make_group(
    name: str, disks: Sequence[str], volumes: Sequence[Sequence[str]], files: Mapping[str, str] | None = None
) -> None:
    """A group over `disks`; `volumes` are words of `dvm metadata`. Inactive again when it returns.

    :param files: volumes that get an ext4, with the text of a file on it.
    """
    for disk in disks:
        call("discover", "add", name, disk)
    Path(_DEVICES).write_text(call("discover", "find", name))
    call("transact", "expand", name, "--devices", _DEVICES)
    group = call("metadata", "init", "--devices", _DEVICES)
    for words in volumes:
        Path(_GROUP).write_text(group)
        group = call("metadata", words[0], "--group", _GROUP, *words[1:])
    Path(_GROUP).write_text(group)
    call("transact", "update", name, "--devices", _DEVICES, "--activate", "--", "cat", _GROUP)
    for volume, text in (files or {}).items():
        path = f"/dev/mapper/{name}-{volume}"
        subprocess.run(["mkfs.ext4", "-q", path], check=True)
        subprocess.run(["mount", path, "/mnt"], check=True)
        Path("/mnt/file").write_text(text)
        subprocess.run(["umount", "/mnt"], check=True)
    call("activate", name, "--off")
