"""Herald as a process that can be killed, frozen and started again, many times in a test.

Processes are forked from one that has imported the application already (the forkserver of the standard library), so
a start costs a tenth of a second instead of one and a half. Only the time of a real start is measured with a real one.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import aiohttp

from storage import failpoints
from tests.harness import canaries
from tests.harness.herald import Herald

Json = dict[str, Any]

PATIENCE = 60.0
"""How long a fact is waited for; long, because a busy machine is slow and a failed wait is seen once."""

_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["tests.crash.warm"])


def _serve(config: str, output: str, failpoint: str) -> None:
    """In the new process: `python app.py serve`."""
    import app  # noqa: PLC0415 - imported already where this process was forked from

    written = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(written, 1)
    os.dup2(written, 2)
    failpoints.arm(failpoint)
    sys.argv = ["herald", "serve", "--config", config, "--log-format", "json"]
    app.main()


class Ended(AssertionError):
    """The process ended before what was waited for."""


@dataclass
class Server:
    """One process, from its start to its death."""

    process: ForkServerProcess
    output: Path
    http: aiohttp.ClientSession

    def events(self) -> list[Json]:
        """What it has logged."""
        text = self.output.read_text(encoding="utf-8") if self.output.exists() else ""
        return [json.loads(line) for line in text.splitlines() if line.startswith("{") and line.endswith("}")]

    def logged(self, action: str) -> Json | None:
        """The first event of this action."""
        return next((event for event in self.events() if event["action"] == action), None)

    async def until(self, action: str, seconds: float = PATIENCE) -> Json:
        """The first event of this action, as soon as it was logged. Raises Ended."""
        async with asyncio.timeout(seconds):
            while True:
                alive = self.process.exitcode is None
                found = self.logged(action)
                if found is not None:
                    return found
                if not alive:
                    raise Ended(f"ended with {self.process.exitcode} without {action}:\n{self.text()}")
                await asyncio.sleep(0.005)

    async def listening(self) -> Herald:
        """The server, as soon as it answers. Raises Ended."""
        return Herald((await self.until("listening"))["address"], self.http)

    async def ended(self, seconds: float = PATIENCE) -> int:
        """Its exit code, as soon as it is gone; negative: the signal that ended it."""
        await until(lambda: self.process.exitcode is not None, seconds, self.text)
        code = self.process.exitcode
        assert code is not None
        return code

    async def killed(self, seconds: float = PATIENCE) -> None:
        """Wait until it has died at its failpoint."""
        assert await self.ended(seconds) == -signal.SIGKILL, self.text()

    async def kill(self) -> None:
        """End it as a power cut would."""
        if self.process.exitcode is None:
            self.process.kill()
        await self.ended()

    async def frozen(self, seconds: float = PATIENCE) -> None:
        """Wait until the kernel shows it as stopped."""
        await until(lambda: _is_stopped(self.pid) or self.process.exitcode is not None, seconds, self.text)
        assert self.process.exitcode is None, self.text()

    def signal(self, number: int) -> None:
        """Send it a signal."""
        os.kill(self.pid, number)

    @property
    def pid(self) -> int:
        assert self.process.pid is not None
        return self.process.pid

    def text(self) -> str:
        """The end of what it wrote."""
        return self.output.read_text(encoding="utf-8")[-6000:] if self.output.exists() else ""


async def until(condition: Callable[[], object], seconds: float, explain: Callable[[], str] = str) -> None:
    """Wait for a fact about a process."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"not within {seconds} s: {explain()}"
        await asyncio.sleep(0.005)


def _is_stopped(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] == "T"


@dataclass
class Servers:
    """Starts processes on settings files; each has an output file of its own."""

    folder: Path
    http: aiohttp.ClientSession
    started: list[Server] = field(default_factory=list)
    _number: itertools.count[int] = field(default_factory=itertools.count)

    def start(self, config: Path, failpoint: str = "") -> Server:
        """Start one; it dies (or freezes) at the failpoint."""
        output = self.folder / f"server-{next(self._number)}.log"
        process = _FORKS.Process(target=_serve, args=(str(config), str(output), failpoint), daemon=True)
        process.start()
        server = Server(process, output, self.http)
        self.started.append(server)
        return server


@asynccontextmanager
async def servers(folder: Path) -> AsyncIterator[Servers]:
    """Herald processes; whatever still lives at the end is killed."""
    timeout = aiohttp.ClientTimeout(total=30)
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar(), timeout=timeout) as http:
        opened = Servers(folder, http)
        try:
            yield opened
        finally:
            for server in opened.started:
                await server.kill()
                server.process.join()
                server.process.close()
                for line in server.output.read_text(encoding="utf-8").splitlines() if server.output.exists() else ():
                    canaries.heard_line(line)
