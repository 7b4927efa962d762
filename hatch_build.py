"""The wheel's one compiled part: src/drystone/formats/pdata/native.c, with the C compiler that Python was built with.

Hatch calls the hook for wheels and for editable installs; both compile in place. After a change of native.c:
`scripts/set-up run`.
Only the stable ABI of Python 3.11 is used, so that one file serves all later versions too.
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

PDATA = Path(__file__).resolve().parent / "src" / "drystone" / "formats" / "pdata"
SOURCE = PDATA / "native.c"
LIBRARY = PDATA / "native.abi3.so"
FLAGS = ("-O2", "-Wall", "-fPIC", "-shared", "-DPy_LIMITED_API=0x030B0000")


def compile_native() -> None:
    """Make LIBRARY. A program that has the old one loaded keeps it: the new one is put in its place whole.

    :raises SystemExit: there is no compiler, or it failed.
    """
    compiler = shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc")
    half = LIBRARY.with_suffix(f".{os.getpid()}.part")
    include = sysconfig.get_paths()["include"]
    command = [
        *compiler,
        *FLAGS,
        f"-I{include}",
        *shlex.split(os.environ.get("CFLAGS", "")),
        str(SOURCE),
        "-o",
        str(half),
    ]
    try:
        subprocess.run(command, check=True)
        half.replace(LIBRARY)
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
        compile_native()
        platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
        build_data["pure_python"] = False
        build_data["tag"] = f"cp311-abi3-{platform}"
        build_data["artifacts"].append(str(LIBRARY.relative_to(Path(self.root))))
