"""One hand of the pool: it owns a child process, and runs slices in it."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Sequence
from typing import Final

from notify.script.answers import GarbageError, result
from notify.script.limits import Limits
from notify.script.process import Child, ChildLostError, start
from notify.script.results import Failed, Why
from notify.script.run import ScriptRun, ScriptsUnavailableError, Turn

log = logging.getLogger("herald.script")

STARTS: Final = 3
LATE: Final = "The script did not stop when its time was over: {error}"
DIED: Final = "The script's process failed: {error}"


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
                turn.part.fail(ScriptsUnavailableError(str(error)))
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
            failed = _failed(error)
            run.record(left.popleft(), failed)
            if failed.why is Why.ENGINE:
                log.warning("a script's process failed: %s", error, extra={"action": "script.child_failed"})
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
                extra = {"action": "script.not_started", "attempt": attempt}
                log.warning("a process for scripts cannot start: %s", error, extra=extra)
        return await start(self._limits, self._turns_most)


def _failed(error: ChildLostError | GarbageError) -> Failed:
    if isinstance(error, ChildLostError) and error.late:
        return Failed(Why.TIME, LATE.format(error=error))
    return Failed(Why.ENGINE, DIED.format(error=error))
