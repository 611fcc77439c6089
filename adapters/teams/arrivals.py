"""Waits for what an install event brings: the conversation, without a call that the platform would count.

The event reaches whichever server Teams calls, so the database is asked: one question at a time for everybody who
waits in a tenant.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from adapters.base import Address, BotId, ChannelName, TenantId
from storage import references
from storage.engine import UNAVAILABLE, Database
from storage.references import Reference

EVENT_SECONDS: Final = 2.0  # an event that takes longer costs one createConversation
LOOK_SECONDS: Final = 0.2


@dataclass(slots=True)
class _Crowd:
    """Who waits in one tenant, and what the last look found."""

    persons: Counter[str] = field(default_factory=Counter)
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    looked_at: float = float("-inf")
    found: Mapping[str, tuple[Reference, bool]] = field(default_factory=dict)


class Arrivals:
    """The people whose install event is on its way."""

    def __init__(
        self, database: Database, *, seconds: float = EVENT_SECONDS, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._database = database
        self._seconds = seconds
        self._clock = clock
        self._crowds: dict[tuple[BotId, TenantId], _Crowd] = {}

    async def wait(self, bot: BotId, address: Address) -> Address | None:
        """The person's address as their install event told it; None if no event came in time."""
        place, person = (bot, address.tenant), address.user_id
        crowd = self._crowds.setdefault(place, _Crowd())
        crowd.persons[person] += 1
        until = self._clock() + self._seconds
        try:
            while self._clock() < until:
                await asyncio.sleep(LOOK_SECONDS)
                await self._look(place, crowd)
                reference, active = crowd.found.get(person, (None, False))
                if reference is not None and active and reference.conversation_id is not None:
                    return Address(
                        address.tenant, person, reference.channel_id, reference.conversation_id, reference.service_url
                    )
        except UNAVAILABLE:
            return None
        finally:
            crowd.persons -= Counter([person])
            if not crowd.persons:
                self._crowds.pop(place, None)
        return None

    async def _look(self, place: tuple[BotId, TenantId], crowd: _Crowd) -> None:
        """Ask for everybody who waits, unless somebody just has."""
        async with crowd.turn:
            if self._clock() - crowd.looked_at < LOOK_SECONDS / 2:
                return
            bot, tenant = place
            async with self._database.read() as tx:
                crowd.found = await references.find(
                    tx, bot_id=bot, channel=ChannelName.MSTEAMS, tenant_id=tenant, persons=list(crowd.persons)
                )
            crowd.looked_at = self._clock()
