"""Callers that were refused: what the log says of them, and how long they wait for the answer."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Final, assert_never

from aiohttp import web

from adapters.tally import Tally, network
from notify import errors
from notify.auth import Refused
from notify.slowdown import Crowded, Pause, Slowdown

log = logging.getLogger("herald.auth")

GLANCE_SECONDS: Final = 0.5  # aiohttp tells nobody that a caller hung up, so we look


class Strangers:
    """Gives bad tokens their answer, late where an address sends many."""

    def __init__(
        self,
        *,
        free: int = 10,
        slowdown: Slowdown | None = None,
        tally: Tally | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._slowdown = Slowdown(free=free) if slowdown is None else slowdown
        self._tally = Tally() if tally is None else tally
        self._clock = clock
        self._timer: asyncio.TimerHandle | None = None

    def is_suspect(self, request: web.Request) -> bool:
        """Whether many bad tokens came from this address in the last minute."""
        return self._slowdown.is_suspect(network(request.remote), self._clock())

    async def turn_away(self, request: web.Request, refused: Refused) -> errors.CallRefused:
        """The answer, when it is time to give it."""
        address, now = network(request.remote), self._clock()
        self._report(address, refused, now)
        if not refused.bad_token:
            return refused.answer
        verdict = self._slowdown.strike(address, now)
        match verdict:
            case Crowded():
                return errors.too_many_bad_tokens(verdict.retry_after)
            case Pause(seconds=0.0):
                return refused.answer
            case Pause():
                try:
                    await self._wait(request, now + verdict.seconds)
                finally:
                    self._slowdown.leave()
                return refused.answer
            case _:
                assert_never(verdict)

    async def _wait(self, request: web.Request, until: float) -> None:
        """A caller that hung up waits no longer."""
        # no event tells that somebody left
        while (left := until - self._clock()) > 0 and request.transport is not None:  # noqa: ASYNC110
            await asyncio.sleep(min(left, GLANCE_SECONDS))

    def _report(self, address: str, refused: Refused, now: float) -> None:
        """`client` is one of ours; what a stranger claims to be is not logged."""
        self._sum_up(now)
        if self._tally.tell(address, now):
            ids = {"reason": refused.reason, "client": refused.client_id, "address": address}
            log.warning("caller refused", extra={"action": "caller_refused", **ids})
        if self._timer is None:
            self._set_timer(now)

    def _sum_up(self, now: float) -> None:
        for address, count in self._tally.due(now):
            extra = {"action": "callers_refused", "address": address, "count": count}
            log.warning("more callers refused", extra=extra)

    def _set_timer(self, now: float) -> None:
        """For the end of the oldest minute, if nobody else is refused after it."""
        due = self._tally.next_due
        if due is not None:
            self._timer = asyncio.get_running_loop().call_later(due - now, self._ring)

    def _ring(self) -> None:
        self._timer, now = None, self._clock()
        self._sum_up(now)
        self._set_timer(now)
