"""API servers and monitors as processes of their own, that tests kill."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path
from subprocess import PIPE
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    import httpx


class ServerProcess:
    """A server of this module in a process. :ivar told: what it says once it works. :param words: for `main`."""

    def __init__(self, *words: str) -> None:
        self._words = words
        self._process: subprocess.Popen[str] | None = None
        self.told = ""

    def __enter__(self) -> Self:
        self.start()
        return self

    def start(self) -> None:
        """Start it (again), and wait until it works."""
        self._process = subprocess.Popen([sys.executable, "-m", __name__, *self._words], stdout=PIPE, text=True)
        assert self._process.stdout is not None
        self.told = self._process.stdout.readline().strip()
        assert self.told, "it did not start"

    def kill(self) -> None:
        """SIGKILL."""
        assert self._process is not None, "entered"
        self._process.kill()
        self._end()

    def stop(self) -> int:
        """SIGTERM; its exit status."""
        assert self._process is not None, "entered"
        self._process.terminate()
        return self._end()

    def _end(self) -> int:
        assert self._process is not None, "entered"
        status = self._process.wait(30)
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._process = None
        return status

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self.kill()


class ApiProcess(ServerProcess):
    """An API server over the database at `url`, on another port with each start.

    :param folder: for its token file. :param queue: a broker's URL.
    """

    def __init__(self, folder: Path, url: str, queue: str = "") -> None:
        from drystone.testing.cluster.client import OPERATOR

        self._token = OPERATOR
        tokens = folder / "tokens.toml"
        super().__init__("api", url, queue, str(tokens))
        tokens.write_text(f'[alice]\ntoken = "{OPERATOR}"\n')
        tokens.chmod(0o600)

    def send(self, method: str, path: str, body: object = None, *, key: str = "") -> httpx.Response:
        """One request of an operator. :raises httpx.TransportError: it was killed, or is just being."""
        import httpx

        headers = {"authorization": f"Bearer {self._token}", **({"idempotency-key": key} if key else {})}
        return httpx.request(method, f"{self.told}/v1{path}", json=body, headers=headers, timeout=30, trust_env=False)

    def must(self, method: str, path: str, body: object = None) -> Any:
        """The document of an answer that is no error, None for an empty one."""
        answer = self.send(method, path, body)
        assert answer.status_code < 300, answer.text
        return answer.json() if answer.content else None


class MonitorProcess(ServerProcess):
    """A monitor over the database at `url`, whose rounds follow one another quickly, unless `pause` says otherwise."""

    def __init__(self, name: str, url: str, *, queue: str = "", pause: float = 0.1) -> None:
        super().__init__("monitor", url, queue, name, str(pause))


def _tell(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main(kind: str, url: str, queue: str, word: str, pause: str = "") -> None:
    """Serve until told to end. What the other kind needs is not imported: it would take as long as all the rest."""
    if kind == "api":
        from drystone.cluster.api.service import ApiSettings, run_api

        asyncio.run(run_api(ApiSettings("127.0.0.1:0", url, Path(word), queue=queue), _tell))
    else:
        from drystone.cluster.monitor.service import MonitorSettings, run_monitor

        settings = MonitorSettings(database=url, name=word, pause=float(pause), patience=5, queue=queue)
        asyncio.run(run_monitor(settings, _tell))


if __name__ == "__main__":
    main(*sys.argv[1:])
