"""Time as a value: everything in the simulator asks a clock, so limits can be tested in injected time."""

import asyncio
import heapq
import itertools
import time
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """What the simulator needs to know about time."""

    def monotonic(self) -> float:
        """Seconds that only grow; for limits and intervals."""
        ...

    def now(self) -> datetime:
        """The aware wall-clock time; for timestamps that people and platforms see."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Return when that many seconds have passed on this clock."""
        ...


class RealClock:
    """The clock of the machine."""

    def monotonic(self) -> float:
        return time.monotonic()

    def now(self) -> datetime:
        return datetime.now(UTC)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class ManualClock:
    """A clock that stands still until `advance` moves it and wakes who slept until then."""

    def __init__(self, start: datetime | None = None) -> None:
        self._start = start or datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
        self._elapsed = 0.0
        self._order = itertools.count()
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._changed = asyncio.Event()

    def monotonic(self) -> float:
        return self._elapsed

    def now(self) -> datetime:
        return self._start + timedelta(seconds=self._elapsed)

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._elapsed + seconds, next(self._order), woken))
        self._changed.set()
        await woken

    def advance(self, seconds: float) -> None:
        """Move time forward and wake the sleepers whose time has come, in order."""
        self._elapsed += seconds
        while self._sleepers and self._sleepers[0][0] <= self._elapsed:
            woken = heapq.heappop(self._sleepers)[2]
            if not woken.done():
                woken.set_result(None)

    def sleepers(self) -> list[float]:
        """For how many seconds each sleeper still sleeps, soonest first."""
        return sorted(due - self._elapsed for due, _, woken in self._sleepers if not woken.done())

    async def until_sleeping(self, count: int = 1) -> None:
        """Wait in real time until at least `count` tasks sleep on this clock."""
        while len(self.sleepers()) < count:
            self._changed.clear()
            await self._changed.wait()
