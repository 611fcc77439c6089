"""Finds out where deliveries go, from what is stored and then from the platform.

known (stored) ─────────────▶ open (if needed) ─▶ ready
  │ unknown                      ▲
  ▼                              │
cold ──look-up through the gate──┘
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, assert_never

from adapters.base import Address, Fault, FaultClass, Repair
from identity.answers import Found, Later, Missing, Resolution
from notify import delivery as machine
from notify.delivery import State
from notify.identities import INVALID, identity_problem
from notify.item import Item
from notify.placing import refusal
from notify.workshop import Workshop
from storage import failpoints
from storage.engine import UNAVAILABLE, describe

if TYPE_CHECKING:
    from notify.drain import Drain
    from notify.feed import Feed

log = logging.getLogger("herald.drain")

COLD_MOST = 1000  # e-mails in one round of look-ups
LOOKUP_AGAIN_SECONDS = 30.0
LOOK_UPS = "look-ups"


class Resolving:
    """The resolutions of one drain's deliveries."""

    def __init__(self, drain: Drain, feed: Feed, shop: Workshop) -> None:
        self._drain = drain
        self._feed = feed
        self._shop = shop
        self._cold: dict[str, list[Item]] = defaultdict(list)
        self._looking_up: asyncio.Task[None] | None = None
        self._forgetting: set[asyncio.Task[None]] = set()

    @property
    def running(self) -> list[asyncio.Task[None]]:
        """Its tasks."""
        return [*self._forgetting, *([self._looking_up] if self._looking_up else [])]

    # ------------------------------------------------------------------ what is stored

    async def resolve(self, items: Sequence[Item]) -> None:
        """From what is stored; what is not stored goes to the look-ups."""
        if self._forgetting:
            await asyncio.wait(self._forgetting)  # what proved stale must not be found again
        placing = self._feed.placing
        await placing.survey(items)
        for item in items:
            if item.elsewhere is not None:
                placing.not_here(item, item.elsewhere)
        items = [item for item in items if item.elsewhere is None]
        askable = [item for item in items if item.delivery.state is State.ACCEPTED and not self._is_hopeless(item)]
        by_mail = [item for item in askable if item.request.identity_type == "resolve"]
        by_id = [item for item in askable if item.request.identity_type != "resolve"]
        if self._drain.lane.is_entry:
            await placing.place(by_mail, by_id)
            return
        if by_id:
            found = await self._shop.resolver.known_ids(self._drain.lane, [item.row.identity for item in by_id])
            for item in by_id:
                self._resolved(item, found[item.row.identity])
        if by_mail:
            await self._resolve_mail(by_mail)
        self._start_look_ups()

    async def _resolve_mail(self, items: Sequence[Item]) -> None:
        addresses = list(dict.fromkeys(item.row.identity for item in items))
        known = await self._shop.resolver.known(self._drain.lane, addresses)
        failpoints.reach("resolve.known")
        for item in items:
            resolution = known.get(item.row.identity)
            if resolution is None:
                item.mark(stuck=True)
                self._cold[item.row.identity].append(item)
            else:
                self._resolved(item, resolution)

    def _is_hopeless(self, item: Item) -> bool:
        """An identity that cannot be anybody's ends here, and so does what is past its deadline."""
        if item.delivery.deadline_at <= self._shop.clocks.wall():
            self._drain.steps.apply(item, machine.DeadlinePassed())
            return True
        remedy = identity_problem(self._drain.lane.channel, item.request.identity_type, item.row.identity)
        if remedy is not None:
            self._drain.steps.apply(item, machine.NotReachable(refusal(INVALID, remedy)))
        return remedy is not None

    def _resolved(self, item: Item, resolution: Resolution) -> None:
        if item.delivery.state is not State.ACCEPTED:
            return
        item.trace.extend(resolution.trace)
        match resolution:
            case Found(address):
                if self._feed.placing.stays(item, resolution):
                    self._drain.steps.apply(item, machine.Resolved(address))
                    self._feed.rendering.take(item)
            case Missing(reason, remedy):
                self._feed.placing.not_here(item, refusal(reason, remedy))
            case Later(retry_after, fault):
                self._postpone(item, retry_after, fault)
            case _:
                assert_never(resolution)

    def _postpone(self, item: Item, retry_after: float, fault: Fault) -> None:
        """The platform could not be asked about this person now; others go on."""
        if fault.klass is FaultClass.CONFIGURATION:
            self._drain.pause.beside(LOOK_UPS, fault)
        if self._feed.placing.passes(item, fault):
            return
        postponed = machine.LookupPostponed(retry_after, replace(fault, klass=FaultClass.NOT_SENT))
        self._drain.steps.apply(item, postponed)
        self._feed.again(item)

    # ------------------------------------------------------------------ look-ups

    def _start_look_ups(self) -> None:
        if self._cold and (self._looking_up is None or self._looking_up.done()):
            self._looking_up = self._drain.spawn(self._look_up())

    async def _look_up(self) -> None:
        """Ask the platform about everyone who is not stored; one round at a time."""
        while self._cold:
            addresses = list(itertools.islice(self._cold, COLD_MOST))
            asked = {address: self._cold.pop(address) for address in addresses}
            try:
                async for answers in self._shop.resolver.look_up(self._drain.lane, addresses, self._drain.gate):
                    failpoints.reach("resolve.learned")
                    self._answer(asked, answers)
            except Exception as error:
                log.exception("look-up failed", extra={"action": "lookup_failed", "lane": str(self._drain.lane)})
                fault = Fault(FaultClass.NOT_SENT, "lookup_failed", "", "internal_error", type(error).__name__)
                self._answer(asked, {address: Later(LOOKUP_AGAIN_SECONDS, fault) for address in list(asked)})
            if asked:
                log.error("look-up left people out", extra={"action": "lookup_incomplete", "count": len(asked)})
                fault = Fault(FaultClass.NOT_SENT, "lookup_failed", "", "no_answer")
                self._answer(asked, {address: Later(LOOKUP_AGAIN_SECONDS, fault) for address in list(asked)})

    def _answer(self, asked: dict[str, list[Item]], answers: Mapping[str, Resolution]) -> None:
        for address, resolution in answers.items():
            if not isinstance(resolution, Later) and not _is_unconfirmed(resolution):
                self._drain.pause.beside_healed(LOOK_UPS)
            for item in asked.pop(address, ()):
                self._resolved(item, resolution)

    # ------------------------------------------------------------------ what proved stale

    def forget(self, address: Address, repair: Repair) -> None:
        """What was stored about a person proved stale."""
        task = self._drain.spawn(self._forget(address, person=repair is Repair.IDENTITY))
        self._forgetting.add(task)
        task.add_done_callback(self._forgetting.discard)

    async def _forget(self, address: Address, *, person: bool) -> None:
        while True:
            try:
                await self._shop.resolver.forget(self._drain.lane, address, person=person)
            except UNAVAILABLE as error:
                log.error(
                    "stale address not dropped yet",
                    extra={"action": "database_unavailable", "lane": str(self._drain.lane), "error": describe(error)},
                )
                await asyncio.sleep(1.0)
            else:
                return


def _is_unconfirmed(resolution: Found | Missing) -> bool:
    """Whether the platform could not be asked, and what is stored was used instead."""
    return any("unconfirmed" in step.result for step in resolution.trace)
