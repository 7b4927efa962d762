"""Programs of others that speak S3, at a fleet: how each finds it, and does a round trip of a folder."""

from __future__ import annotations

import hashlib
import os
import random
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from drystone.fleet.documents import Key

_SECONDS = 300
_MIB = 1 << 20
_UNSET = ("AWS_", "RCLONE_", "RESTIC_")
"""Beginnings of variables of the user's that the programs are not to see."""
_PASSWORD = "of-the-repository"  # noqa: S105  # of a test's own


@dataclass(frozen=True, slots=True)
class Place:
    """A bucket at a server. :ivar folder: for the program's own files, empty at first."""

    url: str
    key: Key
    bucket: str
    folder: Path

    @property
    def variables(self) -> dict[str, str]:
        """Those that most programs know, and no file of the user's."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": self.key.access_key,
            "AWS_SECRET_ACCESS_KEY": self.key.secret,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_REGION": "us-east-1",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "NO_PROXY": "127.0.0.1",
            "HOME": str(self.folder),
        }


@dataclass(frozen=True, slots=True)
class Program:
    """A program. Each action gives the words of its command lines, run one after another.

    :ivar command: that must be on PATH. :ivar make: makes the bucket. :ivar upload: a folder to the prefix `host/tree`.
    :ivar download: that prefix to a folder. :ivar show: lists what is below the prefix. :ivar remove: removes it.
    :ivar variables: more of them.
    """

    command: str
    make: Callable[[Place], list[list[str]]]
    upload: Callable[[Place, Path], list[list[str]]]
    download: Callable[[Place, Path], list[list[str]]]
    show: Callable[[Place], list[list[str]]]
    remove: Callable[[Place], list[list[str]]]
    variables: Callable[[Place], Mapping[str, str]] = field(default=lambda _: {})

    def start(self, place: Place, words: list[str]) -> subprocess.Popen[str]:
        """The running command, with a pipe for what it prints."""
        kept = {name: text for name, text in os.environ.items() if not name.startswith(_UNSET)}
        return subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**kept, **place.variables, **self.variables(place)},
        )

    def run(self, place: Place, commands: list[list[str]]) -> str:
        """Run them; what they printed. :raises AssertionError: one failed."""
        return "".join(finish(words, self.start(place, words)) for words in commands)


def finish(words: list[str], process: subprocess.Popen[str]) -> str:
    """Wait for a command; what it printed. :raises AssertionError: it failed."""
    printed, _ = process.communicate(timeout=_SECONDS)
    assert process.returncode == 0, f"{words}: exit code {process.returncode}\n{printed[-4000:]}"
    return printed


def _aws(place: Place, *words: str) -> list[str]:
    return ["aws", "--endpoint-url", place.url, "--output", "text", *words]


def _s3cmd(place: Place, *words: str) -> list[str]:
    config = place.folder / "s3cfg"
    config.write_text("[default]\n")
    host = place.url.removeprefix("http://")
    return [
        *("s3cmd", f"--config={config}", "--no-ssl", f"--host={host}", f"--host-bucket={host}", "--no-progress"),
        *(f"--access_key={place.key.access_key}", f"--secret_key={place.key.secret}", "--multipart-chunk-size-mb=5"),
        *words,
    ]


def _rclone(*words: str) -> list[str]:
    return ["rclone", "--config", os.devnull, "--s3-chunk-size", "5M", "--s3-upload-cutoff", "8M", "-v", *words]


def _rclone_variables(place: Place) -> dict[str, str]:
    settings = {
        "type": "s3",
        "provider": "Other",
        "env_auth": "true",
        "endpoint": place.url,
        "region": "us-east-1",
    }
    return {f"RCLONE_CONFIG_FLEET_{name.upper()}": text for name, text in settings.items()}


def _restic(place: Place, *words: str) -> list[str]:
    return ["restic", "--no-cache", "-r", f"s3:{place.url}/{place.bucket}/host/tree", *words]


_BOTO = """\
import os, pathlib, sys
import boto3
from boto3.s3.transfer import TransferConfig
bucket, action, folder = sys.argv[1:]
root = pathlib.Path(folder)
client = boto3.client("s3", endpoint_url=os.environ["AWS_ENDPOINT_URL"])
config = TransferConfig(multipart_threshold=8 << 20, multipart_chunksize=5 << 20)
prefix = "host/tree/"
def keys():
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix, MaxKeys=5):
        yield from (each["Key"] for each in page.get("Contents", ()))
if action == "make":
    client.create_bucket(Bucket=bucket)
elif action == "upload":
    for path in sorted(root.rglob("*")):
        if path.is_file():
            client.upload_file(str(path), bucket, prefix + path.relative_to(root).as_posix(), Config=config)
elif action == "download":
    for key in keys():
        path = root / key.removeprefix(prefix)
        path.parent.mkdir(parents=True, exist_ok=True)
        client.download_file(bucket, key, str(path), Config=config)
elif action == "show":
    print("\\n".join(keys()))
else:
    client.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": each} for each in keys()]})
"""


def _boto(place: Place, action: str, folder: Path | None = None) -> list[list[str]]:
    program = place.folder / "boto.py"
    program.write_text(_BOTO)
    return [[sys.executable, str(program), place.bucket, action, str(folder or place.folder)]]


PROGRAMS: dict[str, Program] = {
    "boto3": Program(
        command=sys.executable,
        make=lambda place: _boto(place, "make"),
        upload=lambda place, folder: _boto(place, "upload", folder),
        download=lambda place, folder: _boto(place, "download", folder),
        show=lambda place: _boto(place, "show"),
        remove=lambda place: _boto(place, "remove"),
    ),
    "aws": Program(
        command="aws",
        make=lambda place: [_aws(place, "s3", "mb", f"s3://{place.bucket}")],
        upload=lambda place, folder: [
            _aws(place, "s3", "sync", "--no-progress", str(folder), f"s3://{place.bucket}/host/tree")
        ],
        download=lambda place, folder: [
            _aws(place, "s3", "cp", "--no-progress", "--recursive", f"s3://{place.bucket}/host/tree", str(folder))
        ],
        show=lambda place: [_aws(place, "s3", "ls", "--recursive", f"s3://{place.bucket}/host/tree/")],
        remove=lambda place: [_aws(place, "s3", "rm", "--recursive", f"s3://{place.bucket}/host/tree/")],
    ),
    "s3cmd": Program(
        command="s3cmd",
        make=lambda place: [_s3cmd(place, "mb", f"s3://{place.bucket}")],
        upload=lambda place, folder: [_s3cmd(place, "sync", f"{folder}/", f"s3://{place.bucket}/host/tree/")],
        download=lambda place, folder: [
            _s3cmd(place, "get", "--recursive", f"s3://{place.bucket}/host/tree/", f"{folder}/")
        ],
        show=lambda place: [_s3cmd(place, "ls", "--recursive", f"s3://{place.bucket}/host/tree/")],
        remove=lambda place: [_s3cmd(place, "del", "--recursive", "--force", f"s3://{place.bucket}/host/tree/")],
    ),
    "rclone": Program(
        command="rclone",
        make=lambda place: [_rclone("mkdir", f"fleet:{place.bucket}")],
        upload=lambda place, folder: [
            _rclone("copy", str(folder), f"fleet:{place.bucket}/host/tree"),
            _rclone("check", "--download", str(folder), f"fleet:{place.bucket}/host/tree"),
        ],
        download=lambda place, folder: [_rclone("copy", f"fleet:{place.bucket}/host/tree", str(folder))],
        show=lambda place: [_rclone("lsf", "-R", "--files-only", f"fleet:{place.bucket}/host/tree")],
        remove=lambda place: [_rclone("delete", f"fleet:{place.bucket}/host/tree")],
        variables=_rclone_variables,
    ),
    "restic": Program(
        command="restic",
        make=lambda place: [_restic(place, "init")],
        upload=lambda place, folder: [
            _restic(place, "backup", "--force", f"{folder}/."),
            _restic(place, "check", "--read-data"),
        ],
        download=lambda place, folder: [_restic(place, "restore", "latest", "--target", str(folder))],
        show=lambda place: [_restic(place, "ls", "latest")],
        remove=lambda place: [_restic(place, "forget", "--prune", "--keep-last", "1")],
        variables=lambda _: {"RESTIC_PASSWORD": _PASSWORD},
    ),
}
"""By name. restic keeps the folder in a form of its own; a removal there leaves the last snapshot."""


def write_tree(folder: Path, seed: int, *, large: int = 12 * _MIB) -> None:
    """A folder of small files with odd names, an empty one and one of `large` bytes that goes in parts."""
    source = random.Random(seed)  # noqa: S311  # it repeats itself on purpose
    sizes = {f"file-{number}": source.randrange(1, 50_000) for number in range(8)}
    sizes |= {"sub/dir/a b+c&d=e.txt": 1000, "sub/Übung%20.txt": 777, "sub/empty": 0, "large": large}
    for name, size in sizes.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(source.randbytes(size))


def sum_tree(folder: Path) -> dict[str, str]:
    """SHA-256 of every file below a folder, by its path there."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
