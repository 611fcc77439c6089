"""One request's script: who waits for it, what is known about it, and what it may still use.

It knows nothing of processes; the pool takes turns from it and brings results.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from notify.script.limits import Limits
from notify.script.results import ERROR_CHARACTERS, Failed, Result, Why, bounded

SLICE_FIRST, SLICE_MOST = 4, 32
SLICE_SECONDS: Final = 0.1  # a slice that took longer is followed by a smaller one: others wait for the process
BUDGET: Final = "The script used up the {seconds:g} s that one request has; it was not run for the others"
STOPPED: Final = "{says}; it failed like this for the first {count} recipients and was not run for the others"
STOPPED_CHARACTERS: Final = 150  # of the sentence around an error, with its place
COSTLY: Final = frozenset((Why.TIME, Why.MEMORY, Why.OUTPUT, Why.ENGINE))  # to fail in these ways for a thousand


class ScriptsUnavailableError(RuntimeError):
    """No process can run scripts now; nothing was decided about the recipients who still waited."""


@dataclass(slots=True, eq=False)
class Part:
    """One call of `render`: what is done of it, and who waits."""

    results: list[Result | None]
    missing: int
    done: asyncio.Future[list[Result]]

    def put(self, position: int, result: Result) -> None:
        """Keep a result; the last one wakes who waits."""
        self.results[position] = result
        self.missing -= 1
        if not self.missing and not self.done.done():
            self.done.set_result([result for result in self.results if result is not None])

    def fail(self, error: BaseException) -> None:
        """Nobody can say more about it."""
        if not self.done.done():
            self.done.set_exception(error)


@dataclass(frozen=True, slots=True, eq=False)
class Turn:
    """One recipient of a part, waiting or being run."""

    part: Part
    position: int
    context: str
    lost: int = 0  # processes that went away in it, without its doing

    @property
    def is_wanted(self) -> bool:
        """Whether somebody still waits for it."""
        return not self.part.done.done()


class ScriptRun:
    """A script, run for the recipients of one request."""

    def __init__(self, source: str, limits: Limits, submit: Callable[[ScriptRun, Part], None]) -> None:
        self.source = source
        self.as_json = json.dumps(source)
        self._limits = limits
        self._submit = submit
        self._waiting: deque[Turn] = deque()
        self._slice = SLICE_FIRST
        self._spent = 0.0
        self._started = 0  # of the trial
        self._alike: Failed | None = None  # how everybody failed so far
        self._failed = 0
        self._is_tried = False  # somebody succeeded, or failed cheaply or in another way: the rest has to be run
        self._verdict: Failed | None = None  # for everybody from now on

    async def render(self, contexts: Sequence[Mapping[str, Any]]) -> list[Result]:
        """The result for each context, in their order. Raises ScriptsUnavailableError."""
        if self._verdict is not None or not contexts:
            return [self._verdict for _ in contexts if self._verdict is not None]
        part = Part([None] * len(contexts), len(contexts), asyncio.get_running_loop().create_future())
        texts = [json.dumps(context, allow_nan=False) for context in contexts]
        self._waiting.extend(Turn(part, position, text) for position, text in enumerate(texts))
        self._submit(self, part)
        return await part.done

    # ------------------------------------------------------------------ what the pool asks and says

    @property
    def is_waiting(self) -> bool:
        """Whether anybody waits for a turn."""
        return bool(self._waiting)

    def take(self) -> list[Turn]:
        """The next slice; empty while the first recipients, who decide about the others, are still being run."""
        most = self._slice if self._is_tried else min(self._slice, self._limits.trial - self._started)
        taken: list[Turn] = []
        while self._waiting and len(taken) < most:
            turn = self._waiting.popleft()
            if turn.is_wanted:
                taken.append(turn)
        self._started += len(taken)
        return taken

    def give_back(self, turns: Iterable[Turn]) -> None:
        """Turns that were taken and came to no result; those that somebody still waits for are next."""
        back = list(turns)
        self._started -= len(back)
        self._waiting.extendleft(turn for turn in reversed(back) if turn.is_wanted)
        self._tell_the_rest()

    def record(self, turn: Turn, result: Result) -> None:
        """What became of one recipient, and what follows for the others."""
        turn.part.put(turn.position, result)
        self._learn(result)
        self._tell_the_rest()

    def spend(self, seconds: float, turns: int) -> None:
        """A slice of so many turns took so long in a process."""
        self._spent += seconds
        if seconds > SLICE_SECONDS:
            self._slice = max(1, self._slice // 2)
        elif turns >= self._slice:
            self._slice = min(SLICE_MOST, self._slice * 2)
        if self._spent >= self._limits.total_seconds and self._verdict is None:
            self._verdict = Failed(Why.BUDGET, BUDGET.format(seconds=self._limits.total_seconds))
        self._tell_the_rest()

    # ------------------------------------------------------------------ what it learns

    def _learn(self, result: Result) -> None:
        if self._verdict is not None or self._is_tried:
            return
        if not isinstance(result, Failed):
            self._is_tried = True
            return
        failure = replace(result, log=())
        if failure.why is Why.SYNTAX:
            self._verdict = failure
            return
        self._alike = self._alike or failure
        self._is_tried = failure.why not in COSTLY or failure != self._alike
        self._failed += 1
        if not self._is_tried and self._failed >= self._limits.trial:
            self._verdict = _stopped(failure, self._failed)

    def _tell_the_rest(self) -> None:
        while self._verdict is not None and self._waiting:
            turn = self._waiting.popleft()
            turn.part.put(turn.position, self._verdict)


def _stopped(failure: Failed, count: int) -> Failed:
    # the place stands in the sentence, before what follows from it
    says = replace(failure, error=bounded(failure.error, ERROR_CHARACTERS - STOPPED_CHARACTERS)).says
    return replace(failure, error=STOPPED.format(says=says, count=count), line=None, column=None)
