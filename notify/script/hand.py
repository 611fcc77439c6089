"""One hand of the pool: it owns a child process, and runs slices in it."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from typing import Final, assert_never

from notify.script.answers import GarbageError, result
from notify.script.limits import Limits
from notify.script.process import Child, ChildLostError, Loss, start
from notify.script.results import Failed, Why
from notify.script.run import ScriptRun, ScriptsUnavailableError, Turn

log = logging.getLogger("herald.script")

STARTS: Final = 3
LATE: Final = "The script did not stop when its time was over ({error})"
CRASHED: Final = "The engine crashed while it ran the script ({error})"
UNSTARTED: Final = "a process for scripts cannot be started ({error})"
KILLED: Final = "a process for scripts was killed, and so was the one after it ({error})"


class Hand:
    """Serves one slice after the other; the child is started at the first one and replaced when it is lost or old."""

    def __init__(self, limits: Limits, turns_most: int) -> None:
        self._limits = limits
        self._turns_most = turns_most
        self.child: Child | None = None

    async def serve(self, run: ScriptRun, turns: Sequence[Turn]) -> None:
        """Run a slice; what comes to no result is given back."""
        left = deque(turns)
        try:
            child = await self._ready()
            begun = time.monotonic()
            try:
                await self._serve(child, run, left)
            finally:
                run.spend(time.monotonic() - begun, len(turns))
        except ChildLostError as error:  # it did not even start, several times
            for turn in left:
                turn.part.fail(ScriptsUnavailableError(UNSTARTED.format(error=error)))
        finally:
            run.give_back(left)

    async def end(self) -> None:
        """End the child."""
        if self.child is not None:
            await self.child.end()
            self.child = None  # not before: whoever is cancelled in the middle ends it once more

    async def _serve(self, child: Child, run: ScriptRun, left: deque[Turn]) -> None:
        child.send(run.as_json, [turn.context for turn in left])
        try:
            while left:
                became = result(await child.answer(), run.source, self._limits)
                run.record(left.popleft(), became)
                if left and not any(turn.is_wanted for turn in left):
                    await self.end()  # nobody waits for what it is doing
                    return
        except (ChildLostError, GarbageError) as error:
            _lose(run, left, error)
            await self.end()

    async def _ready(self) -> Child:
        if self.child is not None and (not self.child.is_alive or self.child.turns >= self._turns_most):
            await self.end()
        if self.child is None:
            self.child = await self._started()
        return self.child

    async def _started(self) -> Child:
        for attempt in range(1, STARTS):
            try:
                return await start(self._limits, self._turns_most)
            except ChildLostError as error:
                extra = {"action": "script.not_started", "attempt": attempt, "error": str(error)}
                log.warning("a process for scripts cannot start", extra=extra)
        return await start(self._limits, self._turns_most)


def _lose(run: ScriptRun, left: deque[Turn], error: ChildLostError | GarbageError) -> None:
    """What the loss of a child means for the turn that it was at; one that stays is given back with the others."""
    loss = error.loss if isinstance(error, ChildLostError) else Loss.BROKEN
    if loss is not Loss.LATE:
        log.warning("a script's process failed", extra={"action": "script.child_failed", "error": str(error)})
    turn = left[0]
    match loss:
        case Loss.LATE:
            run.record(left.popleft(), Failed(Why.TIME, LATE.format(error=error)))
        case Loss.BROKEN:
            run.record(left.popleft(), Failed(Why.ENGINE, CRASHED.format(error=error)))
        case Loss.KILLED | Loss.SILENT if not turn.lost:  # once may be an accident, which costs nobody a message
            left[0] = replace(turn, lost=turn.lost + 1)
        case Loss.KILLED:
            turn.part.fail(ScriptsUnavailableError(KILLED.format(error=error)))
        case Loss.SILENT:
            run.record(left.popleft(), Failed(Why.TIME, LATE.format(error=error)))
        case _:
            assert_never(loss)
