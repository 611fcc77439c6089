"""Follows requests that run at the same time: a bar for each on a terminal, else a line every few seconds."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from console.commands.api import Caller, Record
from console.commands.tools import Trouble

POLL_SECONDS = 0.3
LINE_SECONDS = 3.0
WINDOW_SECONDS = 3.0
STILL_SECONDS = 60.0  # the longest hold that a platform imposes here is a few seconds


@dataclass(slots=True)
class Run:
    """One request on its way."""

    channel: str
    text: str
    record: Record
    started: float
    seconds: float = 0.0
    _changed: float = 0.0
    _samples: deque[tuple[float, int]] = field(default_factory=deque)

    @property
    def done(self) -> int:
        """How many people have their outcome."""
        return len(self.record.entries)

    @property
    def sent(self) -> int:
        """How many of them got the message."""
        return sum(entry.succeeded for entry in self.record.entries)

    @property
    def failed(self) -> int:
        """How many of them did not."""
        return self.done - self.sent

    def take(self, record: Record, now: float) -> None:
        """The newest answer about this request."""
        if self.record.final:
            return
        if self.done != len(record.entries):
            self._changed = now
        self.record, self.seconds = record, now - self.started
        self._samples.append((now, self.done))
        while now - self._samples[0][0] > WINDOW_SECONDS:
            self._samples.popleft()

    @property
    def still_for(self) -> float:
        """Seconds since the last new outcome."""
        return self.started + self.seconds - max(self._changed, self.started)

    @property
    def rate(self) -> float:
        """People a second: over the last seconds while it runs, over all of it afterwards."""
        if self.record.final:
            return self.sent / self.seconds if self.seconds else 0.0
        (first, before), (last, after) = self._samples[0], self._samples[-1]
        return (after - before) / (last - first) if last > first else 0.0

    @property
    def line(self) -> str:
        """Counts, pace and what is left, in a few words."""
        parts = [f"{self.sent} sent", f"{self.failed} failed", f"{self.rate:.1f}/s"]
        if self.record.final:
            return ", ".join([*parts, f"done in {self.seconds:.1f} s"])
        if self.record.paused:
            return ", ".join([*parts, f"paused: {self.record.paused[0]}"])
        return ", ".join([*parts, "…" if self.left is None else f"about {self.left:.0f} s left"])

    @property
    def left(self) -> float | None:
        """Seconds until the server expects to be done; by the last seconds' pace if it does not say."""
        if self.record.finish is not None:
            with contextlib.suppress(ValueError):
                return max(0.0, datetime.fromisoformat(self.record.finish).timestamp() - time.time())
        return (self.record.total - self.done) / self.rate if self.rate else None


async def follow(caller: Caller, runs: Sequence[Run], console: Console) -> None:
    """Ask until every request is final."""
    if console.is_terminal:
        with Progress(
            TextColumn("  {task.description:<8}", markup=False),
            BarColumn(),
            TextColumn("{task.completed:>4}/{task.total}"),
            TextColumn("{task.fields[line]}", markup=False),
            console=console,
        ) as progress:
            tasks = {run.channel: progress.add_task(run.channel, total=run.record.total, line="") for run in runs}
            await asyncio.gather(*(_follow(caller, run, _Bar(progress, tasks[run.channel])) for run in runs))
    else:
        await asyncio.gather(*(_follow(caller, run, _Lines(console)) for run in runs))


async def _follow(caller: Caller, run: Run, show: _Bar | _Lines) -> None:
    while not run.record.final:
        run.take(await caller.status(run.record.request_id), time.monotonic())
        show(run)
        if not run.record.final:
            if run.still_for > STILL_SECONDS:
                raise Trouble(f"{run.channel}: no outcome for {STILL_SECONDS:.0f} s ({run.line}).")
            await asyncio.sleep(POLL_SECONDS)


class _Bar:
    def __init__(self, progress: Progress, task: TaskID) -> None:
        self._progress = progress
        self._task = task

    def __call__(self, run: Run) -> None:
        self._progress.update(self._task, completed=run.done, line=run.line)


class _Lines:
    def __init__(self, console: Console) -> None:
        self._console = console
        self._next = time.monotonic() + LINE_SECONDS

    def __call__(self, run: Run) -> None:
        now = time.monotonic()
        if run.record.final or now >= self._next:
            self._next = now + LINE_SECONDS
            line = f"  {run.channel:<8} {run.done:>4}/{run.record.total}  {run.line}"
            self._console.print(line, markup=False, highlight=False)
