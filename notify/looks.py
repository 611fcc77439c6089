"""Looks at the platform for deliveries whose answer was unclear, where the platform lets us look."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Protocol, assert_never

from adapters.base import BotId, DeliveryId, Gate, Lane, Looker, LookLater, MayNotLook, NotThere, SeenAs
from notify import delivery as machine
from notify.delivery import Policy, State, Verdict
from notify.item import Item
from notify.texts import REASONS

log = logging.getLogger("herald.looks")

AT_ONCE = 4
AGAIN_SECONDS = 30.0
NOT_SHOWN = "Ask the person: the conversation does not show answers in a thread, where Herald could look."


class Apply(Protocol):
    """The drain's way to run the state machine."""

    def __call__(self, item: Item, event: machine.Event) -> None: ...


class Looks:
    """The looks of one lane; `asking` holds the ids of the deliveries that are being looked for."""

    def __init__(
        self,
        lane: Lane,
        looker: Looker | None,
        gate: Gate,
        policy: Policy,
        *,
        wall: Callable[[], float],
        shows: Callable[[object], bool],
        apply: Apply,
    ) -> None:
        """`shows` says whether a conversation shows a prepared message to who looks at it."""
        self._lane = lane
        self._looker = looker
        self._gate = gate
        self._policy = policy
        self._wall = wall
        self._shows = shows
        self._apply = apply
        self._slots = asyncio.Semaphore(AT_ONCE)
        self.asking: set[str] = set()

    async def look(self, item: Item) -> None:
        """Ask when the time has come, and let the machine decide; what it decides is written before the next look."""
        try:
            wait = (self._moment(item) or 0.0) - self._wall()
            if wait > 0:
                await asyncio.sleep(wait)
            async with self._slots:
                event = await self._ask(item)
        finally:
            self.asking.discard(item.id)
        if item.delivery.state is State.UNCERTAIN:
            self._apply(item, event)

    def _moment(self, item: Item) -> float | None:
        """The look that may prove absence comes when the call can no longer be stored."""
        started = item.wire_started_at
        if item.delivery.looks + 1 < self._policy.looks_until_absent or started is None or self._looker is None:
            return item.delivery.next_at
        return max(item.delivery.next_at or 0.0, started + self._policy.settle_seconds)

    async def _ask(self, item: Item) -> machine.Event:
        address = item.delivery.address
        reason = item.delivery.verdict or Verdict("no_clear_answer")
        if item.delivery.deadline_at <= self._wall():
            return machine.DeadlinePassed()
        if self._looker is None or address is None:
            return machine.CannotLook(replace(reason, remedy=REASONS["no_clear_answer"].remedy))
        if not self._shows(item.prepared):
            return machine.CannotLook(replace(reason, remedy=NOT_SHOWN))
        since = item.wire_started_at or self._wall()
        try:
            look = await self._looker(BotId(self._lane.bot), address, DeliveryId(item.id), since, self._gate)
        except Exception:
            log.exception("look failed", extra={"action": "look_failed", "delivery": item.id})
            return machine.LookPostponed(AGAIN_SECONDS)
        match look:
            case SeenAs(message_id):
                return machine.Looked(message_id)
            case NotThere():
                return machine.Looked(None)
            case MayNotLook(_, remedy):
                return machine.CannotLook(replace(reason, remedy=remedy))
            case LookLater(after, _):
                return machine.LookPostponed(after)
            case _:
                assert_never(look)
