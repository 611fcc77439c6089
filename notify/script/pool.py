"""A few processes that run the scripts of all requests, in turn.

    ScriptRun ──── slices of 1 to 32 recipients, one run after the other ────> hands, each with one child process
       ^                                                                          │
       └──────────────────────── a result for each recipient <────────────────────┘

A hand takes a slice, a child answers each recipient of it with a frame. A child that crashes costs the recipient whose
turn it was; one that is killed costs nobody, as long as the next one lives. The others of its slice are given back and
run in a new one. Hands and children exist while there is work, and for a while longer.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import replace
from typing import Final

from notify.script.hand import Hand
from notify.script.limits import Limits
from notify.script.run import Part, ScriptRun, ScriptsUnavailableError, Turn

__all__ = ["Limits", "ScriptPool", "ScriptsUnavailableError"]

DEFAULT: Final = Limits()
CLOSED: Final = "the pool of scripts is closed"


class ScriptPool:
    """Runs scripts in at most so many processes."""

    def __init__(
        self, *, workers: int = 2, limits: Limits = DEFAULT, idle_seconds: float = 60.0, turns_most: int = 10_000
    ) -> None:
        self._workers = workers
        self._limits = limits
        self._idle_seconds = idle_seconds
        self._turns_most = turns_most
        self._runs: deque[ScriptRun] = deque()  # who has waiting recipients, in turn
        self._parts: set[Part] = set()
        self._hands: dict[asyncio.Task[None], Hand] = {}
        self._resting: list[asyncio.Future[None]] = []
        self._is_closed = False

    def begin(self, source: str, *, total_seconds: float | None = None) -> ScriptRun:
        """One request's script, with less time in all where so given; nothing starts before somebody is rendered."""
        most = self._limits.total_seconds
        limits = replace(self._limits, total_seconds=min(most, most if total_seconds is None else total_seconds))
        return ScriptRun(source, limits, self._submit)

    @property
    def pids(self) -> tuple[int, ...]:
        """The processes that live now."""
        children = (hand.child for hand in self._hands.values())
        return tuple(child.pid for child in children if child is not None and child.is_alive)

    async def close(self) -> None:
        """End every process; who still waits gets a ScriptsUnavailableError."""
        self._is_closed = True
        self._fail(ScriptsUnavailableError(CLOSED))
        hands = list(self._hands)
        for hand in hands:
            hand.cancel()
        await asyncio.gather(*hands, return_exceptions=True)

    # ------------------------------------------------------------------ who is next

    def _submit(self, run: ScriptRun, part: Part) -> None:
        if self._is_closed:
            raise ScriptsUnavailableError(CLOSED)
        self._parts.add(part)
        part.done.add_done_callback(lambda _: self._parts.discard(part))
        self._enqueue(run)
        self._summon()

    def _enqueue(self, run: ScriptRun) -> None:
        if run.is_waiting and run not in self._runs:
            self._runs.append(run)

    def _next(self) -> tuple[ScriptRun, list[Turn]] | None:
        """A slice of the run whose turn it is."""
        for _ in range(len(self._runs)):
            run = self._runs.popleft()
            turns = run.take()
            self._enqueue(run)
            if turns:
                return run, turns
        return None

    # ------------------------------------------------------------------ hands

    def _summon(self) -> None:
        """One more hand, if one rests or may still be hired; it summons the next if there is more to do."""
        if self._resting:
            self._resting.pop().set_result(None)
        elif len(self._hands) < self._workers and not self._is_closed:
            hand = Hand(self._limits, self._turns_most)
            task = asyncio.get_running_loop().create_task(self._work(hand))
            self._hands[task] = hand
            task.add_done_callback(self._left)

    def _left(self, task: asyncio.Task[None]) -> None:
        del self._hands[task]
        if not task.cancelled() and (error := task.exception()) is not None:
            self._fail(error)  # a defect; nobody may wait for ever because of it

    def _fail(self, error: BaseException) -> None:
        for part in list(self._parts):
            part.fail(error)

    async def _work(self, hand: Hand) -> None:
        try:
            while True:
                if (found := self._next()) is not None:
                    if self._runs:
                        self._summon()
                    run, turns = found
                    await hand.serve(run, turns)
                    self._enqueue(run)
                elif not await self._rested():
                    return
        finally:
            await hand.end()

    async def _rested(self) -> bool:
        """Wait for work; false when none came for long."""
        call: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._resting.append(call)
        try:
            await asyncio.wait((call,), timeout=self._idle_seconds)
        finally:
            if not call.done():
                self._resting.remove(call)
        return call.done()
