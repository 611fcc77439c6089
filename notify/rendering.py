"""Renders the messages of one drain that differ from person to person, between their resolution and their opening.

address known ──┬─ the same for everybody ─────────────▶ opening
                └─ rendered for this person ─▶ ready ──▶ opening; stored with the intent, reused by every retry
                                            └▶ refused: the script failed, or the message does not fit
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, assert_never

import orjson

from adapters.base import Fault, FaultClass
from notify import delivery as machine
from notify.delivery import State, Verdict
from notify.item import Item, OpenRequest
from notify.message import Kind
from notify.personal import NotYet, Personal, Ready, Unready
from notify.renderer import SLICE, Occasion, Person, Wish
from notify.workshop import Workshop
from storage import directory
from storage.engine import UNAVAILABLE, describe

if TYPE_CHECKING:
    from notify.drain import Drain
    from notify.feed import Feed

log = logging.getLogger("herald.drain")

DATABASE_RETRY_SECONDS = 1.0
AGAIN_SECONDS = 30.0  # until scripts are tried again that could not be run


class Rendering:
    """The personal messages of one lane."""

    def __init__(self, drain: Drain, feed: Feed, shop: Workshop) -> None:
        self._drain = drain
        self._feed = feed
        self._shop = shop
        self._waiting: defaultdict[str, list[Item]] = defaultdict(list)
        self._running: set[str] = set()  # the requests of which somebody is being rendered
        self._held: dict[str, int] = {}  # bytes of what waits for its intent, by delivery
        self._bytes = 0
        self._left = asyncio.Event()

    def take(self, item: Item) -> None:
        """A delivery whose address is known: on to its opening, once there is something to send."""
        if item.prepared is not None:
            self._feed.openings.make_ready(item)
            return
        item.mark(stuck=True)
        request = item.request
        self._waiting[request.id].append(item)
        if request.id not in self._running:
            self._running.add(request.id)
            self._drain.spawn(self._render(request))

    async def _render(self, request: OpenRequest) -> None:
        """Everybody of one request who waits; one request's slow script holds up no other."""
        try:
            while waiting := self._waiting.pop(request.id, []):
                for start in range(0, len(waiting), SLICE):
                    await self._room()
                    items = [item for item in waiting[start : start + SLICE] if item.delivery.state is State.READY]
                    wishes = await self._wishes(items)
                    occasion = self._occasion(request, items)
                    for item, answer in zip(items, await self._shop.renderer.render(occasion, wishes), strict=True):
                        self._answer(item, answer)
        finally:
            self._running.discard(request.id)  # nothing is awaited since the last look: whoever comes now starts anew

    async def _room(self) -> None:
        """Wait until so much of what was rendered has left that more may be held in memory."""
        while self._bytes >= self._shop.rendered_bytes:
            self._left.clear()
            await self._left.wait()

    def left(self, item: Item) -> None:
        """What was rendered for a delivery is stored, or is not needed any more."""
        self._bytes -= self._held.pop(item.id, 0)
        self._left.set()

    def _occasion(self, request: OpenRequest, items: Iterable[Item]) -> Occasion:
        if request.script is None:
            scripts = [item.message for item in items if item.message.kind is Kind.SCRIPT]
            request.script = self._shop.renderer.begin(scripts[0]) if scripts else None
        lane = self._drain.lane
        return Occasion(lane.bot, lane.channel, request.identity_type, request.markup, request.script)

    def _answer(self, item: Item, answer: Personal) -> None:
        if item.delivery.state is not State.READY:
            return  # its deadline came first
        match answer:
            case Ready(payload, notes):
                item.notes = notes
                item.rendered = orjson.dumps(payload)
                self._held[item.id] = len(item.rendered)
                self._bytes += len(item.rendered)
                item.prepared = self._shop.channel.prepare(payload)
                self._feed.openings.make_ready(item)
            case Unready(reason, code, says, notes):
                item.notes = notes
                self._drain.steps.apply(item, machine.NotReachable(Verdict(reason, code, remedy=says)))
            case NotYet(reason, says):
                fault = Fault(FaultClass.NOT_SENT, reason, says, "")
                self._drain.steps.apply(item, machine.LookupPostponed(AGAIN_SECONDS, fault))
                self._feed.again(item)
            case _:
                assert_never(answer)

    # ------------------------------------------------------------------ whom for

    async def _wishes(self, items: Sequence[Item]) -> list[Wish]:
        names = await self._names(items)
        return [Wish(item.message, self._person(item, names), item.values) for item in items]

    async def _names(self, items: Sequence[Item]) -> Mapping[str, directory.Named]:
        """What the directory knows of those for whom a script is run: only a script is told."""
        wanted = [
            item.delivery.address.user_id
            for item in items
            if item.message.kind is Kind.SCRIPT and item.delivery.address is not None
        ]
        if not wanted:
            return {}
        bot, channel, tenant = self._drain.lane.bot, self._drain.lane.channel, self._drain.lane.tenant
        while True:
            try:
                async with self._shop.database.read() as tx:
                    return await directory.named(
                        tx, bot_id=bot, channel=channel, tenant_id=tenant, user_ids=list(dict.fromkeys(wanted))
                    )
            except UNAVAILABLE as error:
                log.error(
                    "database not readable",
                    extra={"action": "database_unavailable", "lane": str(self._drain.lane), "error": describe(error)},
                )
                await asyncio.sleep(DATABASE_RETRY_SECONDS)

    def _person(self, item: Item, names: Mapping[str, directory.Named]) -> Person:
        user_id = item.delivery.address.user_id if item.delivery.address else ""
        known = names.get(user_id, directory.Named("", ""))
        return Person(item.row.identity, self._drain.lane.tenant, user_id, known.name, known.locale)
