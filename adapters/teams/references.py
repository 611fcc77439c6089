"""What the connector's answers teach about reaching a person, written through storage's doors."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from adapters.base import Address, BotId, ChannelName
from adapters.teams.bots import TeamsBots
from storage import installations, references
from storage.engine import Database
from storage.installations import Installation

CHANNEL: Final = ChannelName.MSTEAMS.value
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

    def _other_host(self, failed: str | None) -> str | None:
        urls = self._bots.service_urls
        for url in (self._bots.endpoints.default_service_url, GCC_SERVICE_URL):
            if url is not None and urls.permits(url) and not (failed and urls.same_host(url, failed)):
                return url
        return None
