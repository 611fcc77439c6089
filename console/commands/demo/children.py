"""Child processes of the demo: started with a clean environment, ended by their own id whatever happens."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from console.commands.tools import Trouble

ROOT = Path(__file__).parents[3]
START_SECONDS = 60.0
STOP_SECONDS = 8.0
MOST_LINE = 1024 * 1024
LINES_SHOWN = 12

Sign = Callable[[Mapping[str, Any]], bool]


class Child:
    """One process that writes JSON lines; they are kept in a file, and one of them says that it is ready."""

    def __init__(self, name: str, process: asyncio.subprocess.Process, log: Path, sign: Sign) -> None:
        self.name = name
        self._process = process
        self._log = log.open("wb")
        self._sign = sign
        self._said: Mapping[str, Any] | None = None
        self._told = asyncio.Event()
        self._newest: deque[str] = deque(maxlen=LINES_SHOWN)

    @property
    def ended(self) -> bool:
        """Whether the process is gone."""
        return self._process.returncode is not None

    @property
    def last_words(self) -> str:
        """The newest lines it wrote."""
        return "\n".join(f"  {line}" for line in self._newest)

    async def ready(self) -> Mapping[str, Any]:
        """The line by which it says that it is ready. Raises Trouble."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(START_SECONDS):
                await self._told.wait()
        if self._said is None:
            raise Trouble(f"{self.name} did not start. Its last words:\n{self.last_words}")
        return self._said

    async def listen(self) -> None:
        """Read until the process closes its output, so that it never waits for us."""
        assert self._process.stdout is not None  # noqa: S101  opened as a pipe below
        try:
            async for line in self._process.stdout:
                self._log.write(line)
                self._newest.append(line.decode(errors="replace").rstrip())
                self._look_at(line)
        finally:
            self._log.close()
            self._told.set()

    def _look_at(self, line: bytes) -> None:
        if self._said is not None:
            return
        with contextlib.suppress(ValueError):
            said = json.loads(line)
            if isinstance(said, dict) and self._sign(said):
                self._said = said
                self._told.set()

    async def end(self) -> None:
        """SIGTERM, and SIGKILL for what does not listen."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            if self.ended:
                return
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(STOP_SECONDS):
                    await self._process.wait()


@asynccontextmanager
async def running(name: str, arguments: Sequence[str], log: Path, sign: Sign) -> AsyncIterator[Child]:
    """A child for as long as the block lasts; `sign` recognises the line that says it is ready."""
    process = await asyncio.create_subprocess_exec(
        *arguments,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        cwd=ROOT,
        env=clean(os.environ),
        start_new_session=True,  # Ctrl-C reaches the demo alone, which then ends its children in order
        limit=MOST_LINE,
    )
    child = Child(name, process, log, sign)
    listening = asyncio.create_task(child.listen())
    try:
        yield child
    finally:
        await child.end()
        await asyncio.gather(listening, return_exceptions=True)


def clean(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment without Herald's own settings and without proxies: nothing here leaves this machine."""
    return {
        name: value
        for name, value in environ.items()
        if not name.upper().startswith("HERALD_") and not name.lower().endswith("_proxy")
    }
