"""One child process and the frames to and from it; what a child does wrong is a ChildLost, never anything else."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import Sequence
from enum import StrEnum
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path
from typing import Final

from notify.script.answers import frame_most
from notify.script.limits import Limits

PROGRAM: Final = Path(__file__).with_name("child.py")
PACKAGE: Final = "quickjs-ng"
TURN_SECONDS_MOST: Final = 4  # times the processor's time of a turn, as what a turn may take in the sum of all
READY_SECONDS, GONE_SECONDS = 20.0, 1.0
TIMED_OUT: Final = frozenset((signal.SIGPROF, signal.SIGXCPU))
CRASHED: Final = frozenset(
    (signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGILL, signal.SIGFPE, signal.SIGTRAP)
)


class Loss(StrEnum):
    """How a child was lost, by who may have caused it."""

    LATE = "late"  # the kernel ended it when its processor time was over: the script
    BROKEN = "broken"  # it crashed, ended by itself or said nonsense: the script and the engine
    KILLED = "killed"  # by a signal that no script can cause: somebody outside
    SILENT = "silent"  # no answer in time on the clock: a machine that stands still, mostly


class ChildLostError(Exception):
    """The child is dead, silent or says nonsense; the reason is short enough for brackets."""

    def __init__(self, reason: str, loss: Loss = Loss.BROKEN) -> None:
        super().__init__(reason)
        self.loss = loss


class Child:
    """A process that takes scripts and contexts, and answers each context with a frame."""

    def __init__(
        self, process: Process, stdin: asyncio.StreamWriter, stdout: asyncio.StreamReader, limits: Limits
    ) -> None:
        self._process = process
        self._in = stdin
        self._out = stdout
        self._limits = limits
        self._most = frame_most(limits)
        self._source: str | None = None
        self.turns = 0

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        """Whether nothing is known of its end."""
        return self._process.returncode is None and not self._out.at_eof()

    def send(self, source: str, contexts: Sequence[str]) -> None:
        """A script, unless it is still the last one, and contexts, all as JSON in ASCII."""
        if source != self._source:
            self._in.write(_frame("S", source))
            self._source = source
        self._in.writelines([_frame("C", context) for context in contexts])
        self.turns += len(contexts)

    async def answer(self) -> bytes:
        """The next frame."""
        return await self._next(self._limits.answer_seconds)

    async def end(self) -> None:
        """Kill it and see it gone."""
        self._in.close()
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)  # Process.kill would reap a dead one, and hide its code from asyncio
        await self._out.read()  # what nobody wants any more; a full pipe would never be closed
        await self._process.wait()

    async def greet(self, turns_most: int) -> None:
        """Hand over the limits and wait until it has confined itself."""
        limits = self._limits
        seconds = round(turns_most * TURN_SECONDS_MOST * limits.cpu_seconds) + 10
        numbers = (limits.cpu_seconds, limits.memory_bytes, limits.stack_bytes, limits.output_bytes)
        bounds = (*numbers, limits.log_lines, limits.log_characters, seconds)
        self._in.write(_frame("L", " ".join(map(str, bounds))))
        if await self._next(READY_SECONDS) != b"R":
            raise ChildLostError("it did not say that it is ready")

    async def _next(self, seconds: float) -> bytes:
        try:
            async with asyncio.timeout(seconds):
                length = int.from_bytes(await self._out.readexactly(4), "big")
                if length > self._most:
                    raise ChildLostError("its frame is too long")
                return await self._out.readexactly(length)
        except TimeoutError:
            raise ChildLostError(f"no answer within {seconds:g} s", Loss.SILENT) from None
        except (asyncio.IncompleteReadError, ConnectionError):
            raise await self._lost() from None

    async def _lost(self) -> ChildLostError:
        """Why the stream ended: a signal, mostly."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(GONE_SECONDS):
                await self._process.wait()
        await self.end()
        code = self._process.returncode or 0
        return ChildLostError(_ending(code), _loss(code))


async def start(limits: Limits, turns_most: int) -> Child:
    """A child that is ready; raises ChildLostError."""
    try:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-I", "-S", "-E", "-B", str(PROGRAM), str(engine())),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            cwd="/",
            env={},
            start_new_session=True,
        )
    except OSError as error:
        raise ChildLostError(f"it cannot be started ({error.strerror})") from error
    if process.stdin is None or process.stdout is None:
        raise ChildLostError("it has no pipes")
    child = Child(process, process.stdin, process.stdout, limits)
    try:
        await child.greet(turns_most)
    except BaseException:
        await child.end()
        raise
    return child


def engine() -> Path:
    """The engine's file, by the list of what quickjs-ng installed; the archived `quickjs` has the same import name."""
    try:
        found = [file for file in files(PACKAGE) or () if file.name.startswith("_quickjs.")]
    except PackageNotFoundError:
        found = []
    if not found:
        raise ChildLostError(f"{PACKAGE} is not installed")
    return Path(str(found[0].locate())).resolve()


def _frame(kind: str, content: str) -> bytes:
    return (len(content) + 1).to_bytes(4, "big") + kind.encode() + content.encode("ascii")


def _loss(code: int) -> Loss:
    if -code in TIMED_OUT:
        return Loss.LATE
    return Loss.KILLED if code < 0 and -code not in CRASHED else Loss.BROKEN


def _ending(code: int) -> str:
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"exit code {code}"
