"""Child processes of a measurement: started with a clean environment, watched through /proc, ended by their own id."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

Json = dict[str, Any]
ROOT = Path(__file__).parents[1]
START_SECONDS = 60.0
STOP_SECONDS = 10.0
_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


class Child:
    """A process that writes JSON lines. Other lines are its last words when something goes wrong."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._answers: asyncio.Queue[Json | None] = asyncio.Queue()
        self._newest: deque[str] = deque(maxlen=20)
        self._reader = asyncio.create_task(self._read())

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def ended(self) -> bool:
        return self._process.returncode is not None

    @property
    def last_words(self) -> str:
        return "\n".join(self._newest)

    async def ask(self, **question: Any) -> Json:
        """Send one JSON line and wait for one."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(question).encode() + b"\n")
        await self._process.stdin.drain()
        return await self.said(lambda _: True, seconds=600.0)

    async def said(self, sign: Callable[[Json], bool], seconds: float = START_SECONDS) -> Json:
        """The next line for which `sign` holds."""
        async with asyncio.timeout(seconds):
            while (line := await self._answers.get()) is not None:
                if sign(line):
                    return line
        raise RuntimeError(f"process {self.pid} ended:\n{self.last_words}")

    async def _read(self) -> None:
        assert self._process.stdout is not None
        async for raw in self._process.stdout:
            line = raw.decode(errors="replace").rstrip()
            self._newest.append(line)
            if line.startswith("{"):
                with contextlib.suppress(ValueError):
                    self._answers.put_nowait(json.loads(line))
        self._answers.put_nowait(None)

    def cpu_seconds(self) -> float:
        """User and system time of the process, all threads, and of its children, those that have ended included."""
        children = " ".join(task.read_text() for task in Path(f"/proc/{self.pid}/task").glob("*/children")).split()
        return (_ticks(self.pid) + sum(map(_ticks, map(int, children)))) / _TICKS

    def resident_bytes(self) -> int:
        """Resident memory now."""
        return int(Path(f"/proc/{self.pid}/statm").read_text().split()[1]) * _PAGE

    def peak_bytes(self) -> int:
        """The most resident memory that the process ever had."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
        return 0

    async def kill(self) -> None:
        """End it as a power cut would."""
        await self._end(signal.SIGKILL)

    async def end(self) -> None:
        """SIGTERM, and SIGKILL for what does not listen."""
        await self._end(signal.SIGTERM)
        await self._end(signal.SIGKILL)
        await self._reader

    async def _end(self, number: signal.Signals) -> None:
        if self._process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(number)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(STOP_SECONDS):
                await self._process.wait()


def _ticks(pid: int) -> int:
    """User and system time of a process and of its children that have ended; 0 of one that has just ended itself."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0
    return sum(map(int, fields[11:15]))


@asynccontextmanager
async def running(
    arguments: Sequence[str], sign: Callable[[Json], bool], environment: Mapping[str, str] | None = None
) -> AsyncIterator[tuple[Child, Json]]:
    """`python …` for the length of a `with` block, and the line by which it said that it is ready."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *arguments,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        cwd=ROOT,
        env={"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "PYTHONUNBUFFERED": "1", **(environment or {})},
        start_new_session=True,  # Ctrl-C reaches the benchmark alone, which then ends its children
        limit=2**24,
    )
    child = Child(process)
    try:
        yield child, await child.said(sign)
    finally:
        await child.end()
