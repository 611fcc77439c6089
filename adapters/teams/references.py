"""What the connector's answers teach about reaching a person, written through storage's doors."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Final

from sqlalchemy.exc import SQLAlchemyError

from adapters.base import Address, BotId, ChannelName, NotSent, Refused, Repair
from adapters.teams.bots import TeamsBots
from adapters.teams.faults import NO_SERVICE_URL
from storage import installations, references
from storage.engine import Database
from storage.installations import Installation

logger = logging.getLogger(__name__)

CHANNEL: Final = ChannelName.MSTEAMS.value
UNUSABLE: Final = ("app_not_installed", "blocked_by_recipient")
GCC_SERVICE_URL: Final = "https://smba.infra.gcc.teams.microsoft.com/teams/"
"""Where `InvalidBotApiHost` sends a commercial bot whose tenant is in GCC (send-proactive-messages.md)."""


class TeamsReferences:
    """Reads and writes references and installations for the outbound side."""

    def __init__(self, database: Database, bots: TeamsBots, *, now: Callable[[], float] = time.time) -> None:
        self._database = database
        self._bots = bots
        self._now = now

    async def service_url(self, bot: BotId, address: Address) -> str | None:
        """The address's own URL, else the tenant's last one, else the cloud's default; only a permitted one."""
        if address.service_url is not None and self._bots.service_urls.permits(address.service_url):
            return address.service_url
        async with self._database.read() as tx:
            row = await installations.get(tx, bot_id=bot, channel=CHANNEL, tenant_id=address.tenant)
        for url in (None if row is None else row.service_url, self._bots.endpoints.default_service_url):
            if url is not None and self._bots.service_urls.permits(url):
                return url
        return None

    async def opened(self, bot: BotId, address: Address) -> bool:
        """Keep the conversation that a create call gave us."""
        if address.conversation_id is None:
            return False
        async with self._database.write() as tx:
            await references.opened(
                tx,
                bot_id=bot,
                channel=CHANNEL,
                tenant_id=address.tenant,
                user_id=address.user_id,
                channel_id=address.channel_id,
                conversation_id=address.conversation_id,
                service_url=address.service_url,
                now=self._now(),
            )
        return True

    async def forget_conversation(self, bot: BotId, address: Address) -> bool:
        """Drop a conversation id that the platform no longer knows."""
        async with self._database.write() as tx:
            await references.forget_conversation(
                tx,
                bot_id=bot,
                channel=CHANNEL,
                tenant_id=address.tenant,
                user_id=address.user_id,
                conversation_id=address.conversation_id,
            )
        return True

    async def deactivate(self, bot: BotId, address: Address, reason: str, asked_at: float) -> bool:
        """Mark the person's reference as not usable, as the answer to a send that began at `asked_at` says."""
        async with self._database.write() as tx:
            return await references.refused(
                tx,
                bot_id=bot,
                channel=CHANNEL,
                tenant_id=address.tenant,
                person=address.user_id,
                reason=reason,
                asked_at=asked_at,
                now=self._now(),
            )

    async def move(self, bot: BotId, address: Address) -> bool:
        """Store the other permitted host for the tenant and the person; False if there is none."""
        other = self._other_host(address.service_url)
        if other is None:
            return False
        now = self._now()
        async with self._database.write() as tx:
            await installations.ensure(
                tx,
                Installation(bot, CHANNEL, address.tenant, installed_at=now, service_url=other),
                now,
            )
            found = await references.find(
                tx, bot_id=bot, channel=CHANNEL, tenant_id=address.tenant, persons=[address.user_id]
            )
            reference, active = found.get(address.user_id, (None, False))
            if reference is not None and active:
                await references.capture(tx, replace(reference, service_url=other), now)
        return True

    async def learn_from(
        self, bot: BotId, address: Address, outcome: NotSent | Refused, started: float
    ) -> NotSent | Refused:
        """Store what a refusal says about the reference before the drain resolves the person again."""
        fault = outcome.fault
        if fault.repair is Repair.SERVICE_URL:
            moved = await self.keep(self.move(bot, address))
            return outcome if moved else NotSent(replace(NO_SERVICE_URL, code=fault.code, detail=fault.detail))
        if fault.repair is Repair.CONVERSATION:
            await self.keep(self.forget_conversation(bot, address))
        elif isinstance(outcome, Refused) and fault.reason in UNUSABLE:
            await self.keep(self.deactivate(bot, address, fault.reason, started))
        return outcome

    async def keep(self, write: Awaitable[bool]) -> bool:
        """Store what was learned; the platform's answer stands even if the database does not take it."""
        try:
            return await write
        except (SQLAlchemyError, OSError) as error:
            logger.warning(
                "teams_reference_not_stored",
                extra={"action": "teams_reference_not_stored", "code": type(error).__name__},
            )
            return False

    def _other_host(self, failed: str | None) -> str | None:
        urls = self._bots.service_urls
        for url in (self._bots.endpoints.default_service_url, GCC_SERVICE_URL):
            if url is not None and urls.permits(url) and not (failed and urls.same_host(url, failed)):
                return url
        return None
