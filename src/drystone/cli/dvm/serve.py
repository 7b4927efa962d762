"""`dvm serve`: the command server."""

from __future__ import annotations

import gc
import importlib
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click

from drystone.base.errors import BusyError, KernelError, UnavailableError, UnsupportedError
from drystone.cli.dvm.tool import Tool, errors_as_json
from drystone.cli.output import print_line

if TYPE_CHECKING:
    from drystone.cli.dvm.server.rehearsal import Stage

SOCKET = "/run/drystone/dvm.sock"
VARIABLE = "DRYSTONE_DVM_SOCKET"


@click.command(cls=Tool)
@errors_as_json
@click.option("--socket", "path", metavar="PATH", help=f"Where to listen; ${VARIABLE}, else {SOCKET}.")
def serve(path: str | None) -> None:
    """Have Python and all tools in memory, so that `dvm` need not start them for each command.

    It holds nothing about groups: `dvm` does the same with it and without it, and does without it whenever it would not
    be the same (another user, another container, another version, ...). Under systemd `dvm boot` writes
    drystone-dvm-server.socket. DRYSTONE_DVM_SOCKET= (empty) has a command started without it. It prints a line when it
    is ready, and ends on SIGTERM, when the commands that run have ended.

    \b
    Examples:
      systemctl enable --now drystone-dvm-server.socket
      dvm serve --socket /run/user/1000/dvm.sock
    """
    import errno

    from drystone.cli.dvm.server.installation import Installation
    from drystone.cli.dvm.server.loop import CommandServer, listen, taken_over
    from drystone.cli.dvm.server.rehearsal import Stage

    client = str(Path(sys.argv[0]).absolute().with_name("dvm"))
    if not Path(client).exists() or Path(client).read_bytes()[:2] == b"#!":
        raise UnsupportedError(
            f"{client} is no client of a command server", hint="install drystone, and start dvm serve"
        )
    if sys.getfilesystemencoding() != "utf-8":
        raise UnsupportedError("file names are not in UTF-8 here", hint="LC_ALL=C.UTF-8 dvm serve")
    place = path or os.environ.get(VARIABLE) or SOCKET
    given = taken_over()
    try:
        listener = given or listen(place)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise BusyError(f"somebody listens at {place} already") from error
        raise KernelError("listen", error.errno or 0, device=place) from error
    # No TemporaryDirectory: it would be removed by the first worker that ends.
    folder = tempfile.mkdtemp(prefix="drystone-dvm-", dir=os.environ.get("RUNTIME_DIRECTORY"))
    try:
        stage = Stage(folder, client)
        for name in _rehearse_first(stage, Path(folder, "modules")):
            importlib.import_module(name)
        installation = Installation(client)
        gc.collect()
        gc.freeze()
        print_line(json.dumps({"socket": place}))
        CommandServer(listener, installation, stage, own_path=place if given is None else None).run()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _rehearse_first(stage: Stage, file: Path) -> list[str]:
    """The modules that the commonest tools have imported when they are done; processes of their own have done them.

    Others are left out: each page of this process's memory costs every fork.
    """
    from drystone.kernel.fork import fork_away

    def build() -> int:
        stage.build()
        return 0

    def note() -> int:
        stage.rehearse(lambda: False)
        file.write_text("\n".join(sys.modules))
        return 0

    for action in (build, note):
        os.waitpid(fork_away(action), 0)
    try:
        return file.read_text().split()
    except OSError as error:
        raise UnavailableError("the tools cannot be rehearsed", hint="has the temporary folder room?") from error
