"""The tenants and workspaces a bot is installed in: how they are called, which belong together, which is meant."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from adapters.base import ENTRY, BotId, ChannelName, Lane, TenantId
from notify.records import NotInstalled
from storage import installations
from storage.installations import Installation


@dataclass(frozen=True, slots=True)
class Tenants:
    """What is installed for one bot on one channel; organisations are no tenants of their own."""

    bot: BotId
    channel: ChannelName
    installed: Mapping[TenantId, Installation]

    @classmethod
    async def read(cls, tx: AsyncConnection, bot: BotId, channel: ChannelName) -> Tenants:
        """The living installations."""
        rows = await installations.active(tx, bot_id=bot, channel=channel)
        return cls(bot, channel, {TenantId(row.tenant_id): row for row in rows if not row.is_org})

    def lane(self, pinned: object = None) -> Lane:
        """The lane of the tenant that a caller names, or of the only one; else the bot's entry lane.

        Raises NotInstalled for a named tenant without the app.
        """
        if isinstance(pinned, str):
            return Lane(self.bot, self.channel, self._spelled(pinned))
        only = next(iter(self.installed)) if len(self.installed) == 1 else ENTRY
        return Lane(self.bot, self.channel, only)

    def kin(self, tenant: TenantId) -> frozenset[TenantId]:
        """The other workspaces of one's organisation: the same accounts, with the same ids."""
        here = self.installed.get(tenant)
        if here is None or not here.enterprise_id:
            return frozenset()
        return frozenset(each for each, row in self.installed.items() if row.enterprise_id == here.enterprise_id)

    def choice(self, tenants: Iterable[TenantId]) -> str:
        """The remedy for a person whom several tenants have."""
        named = " and ".join(self._named(tenant) for tenant in tenants)
        return f"The address is known in {named}: name one of them in options.tenant."

    def _named(self, tenant: TenantId) -> str:
        row = self.installed.get(tenant)
        return f"{tenant} ({row.name})" if row is not None and row.name else tenant

    def _spelled(self, pinned: str) -> TenantId:
        for tenant in self.installed:
            if tenant.lower() == pinned.lower():
                return tenant
        raise NotInstalled
