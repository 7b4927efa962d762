"""The most memory that commands take on an encrypted repository."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

LEAST = 68 << 10
"""KiB. Trying a passphrase takes 32 MiB, our libraries 30, Python itself 9: all at once would be 72 and more."""


LAUNCHER = """
import os, sys
child = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ)
_, status, usage = os.wait4(child, 0)
os.write(2, b"%d" % usage.ru_maxrss)
sys.exit(os.waitstatus_to_exitcode(status))
"""
"""A small process in between: what a child counts begins with what its parent has."""


def run(*words: str) -> tuple[str, int]:
    """What `drystone backup` printed, and the most memory that it took, in KiB."""
    command = [sys.executable, "-S", "-c", LAUNCHER, sys.executable, "-m", "drystone.cli.main", "backup", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stdout, int(done.stderr.splitlines()[-1])


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str, list[str]]:
    """A repository, a backup's URL, and the options that open it."""
    folder = tmp_path_factory.mktemp("memory")
    image, secret, store = folder / "image", folder / "secret", folder / "store"
    image.write_bytes(os.urandom(3 << 20))
    secret.touch(0o600)
    secret.write_text("open sesame\n")
    opening = ["--passphrase-file", str(secret)]
    url, _ = run("create", str(image), "--dest", str(store), *opening)
    return str(store), url.strip(), opening


@pytest.mark.parametrize("words", [["list"], ["stats"], ["scrub"], ["prune", "--keep-last", "1"]], ids=" ".join)
def test_passphrases_are_tried_before_libraries_are_loaded(place: tuple[str, str, list[str]], words: list[str]) -> None:
    store, _, opening = place
    assert run(words[0], store, *words[1:], *opening)[1] < LEAST


def test_so_are_those_of_a_backup(place: tuple[str, str, list[str]]) -> None:
    _, url, opening = place
    assert run("verify", url, *opening)[1] < LEAST
