"""The compiled parts, each out of one file (SOURCES and CLIENT), with the C compiler that Python was built with.

Hatch calls the hook for wheels and for editable installs; both compile in place. After a change of one of the files:
`scripts/set-up run`.
Only the stable ABI of Python 3.11 is used, so that one library serves all later versions too.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PACKAGE = Path(__file__).resolve().parent / "src" / "drystone"
SOURCES = tuple(PACKAGE / name for name in ("formats/pdata/native.c", "kernel/calls.c"))
CLIENT = PACKAGE / "cli/dvm/server/client.c"
"""The program `dvm`."""
FLAGS = ("-O2", "-Wall", "-fPIC", "-shared", "-DPy_LIMITED_API=0x030B0000")


def compile_native(source: Path) -> Path:
    """Make the library of `source`, beside it. A program that has the old one loaded keeps it: the new one is put in
    its place whole.

    :raises SystemExit: there is no compiler, or it failed.
    """
    library = source.with_suffix(".abi3.so")
    _compile(source, library, *FLAGS, f"-I{sysconfig.get_paths()['include']}")
    return library


def compile_client() -> Path:
    """Make the program `dvm`, beside its source: without shared libraries where the C library can be had so, as a
    program without any begins sooner.

    :raises SystemExit: there is no compiler, or it failed.
    """
    program = CLIENT.with_suffix("")
    try:
        _compile(CLIENT, program, "-O2", "-Wall", "-static", stderr=subprocess.DEVNULL)
    except SystemExit:
        _compile(CLIENT, program, "-O2", "-Wall")
    return program


def _compile(source: Path, made: Path, *flags: str, stderr: int | None = None) -> None:
    compiler = shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc")
    half = made.with_suffix(f".{os.getpid()}.part")
    command = [*compiler, *flags, *shlex.split(os.environ.get("CFLAGS", "")), str(source), "-o", str(half)]
    try:
        subprocess.run(command, check=True, stderr=stderr)
        half.replace(made)
    except FileNotFoundError:
        sys.exit(f"{compiler[0]} is missing: install a C compiler (Debian: gcc, libc6-dev, python3-dev)")
    except subprocess.CalledProcessError as error:
        sys.exit(f"{compiler[0]} ended with {error.returncode}; are Python's headers there (Debian: python3-dev)?")
    finally:
        half.unlink(missing_ok=True)


class CompileNative(BuildHookInterface[Any]):
    """Hatch's hook: compiles, and says that the wheel is for this kind of machine."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called before a wheel is built; `version` is `standard` or `editable`."""
        del version
        libraries = [compile_native(source) for source in SOURCES]
        build_data["shared_scripts"][str(compile_client())] = "dvm"
        platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
        build_data["pure_python"] = False
        build_data["tag"] = f"cp311-abi3-{platform}"
        build_data["artifacts"] += [str(library.relative_to(Path(self.root))) for library in libraries]
