"""Where Slack lets us speak: one encrypted row per (bot, workspace or org), remembered for a short while.

    org row        tenant E…, is_org, holds the token; it is no lane
    workspace row  tenant T…; a token of its own, or none: then its org's token serves it

A removal leaves a tombstone, so an uninstall that arrives late cannot delete a newer install, and the token is gone.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from adapters.base import ENTRY, BotId, ChannelName, Fault, Lane, TenantId
from adapters.slack import faults
from adapters.slack.config import Clock
from storage import audit_events, chores, installations
from storage.engine import Database
from storage.installations import Installation
from storage.vault import Vault, WrongKey

logger = logging.getLogger(__name__)

SLACK = ChannelName.SLACK
CACHE_SECONDS = 30.0

IDENTIFY = "slack.identify"  # entry lane: which workspace the settings' bot token belongs to
TEAMS = "slack.teams"  # entry lane: which workspaces an org has granted us
DIRECTORY = "slack.directory"  # workspace lane: list its people, then again each day


@dataclass(frozen=True, slots=True)
class Installed:
    """A living installation, ready to be used."""

    bot: BotId
    tenant: TenantId
    token: str = field(repr=False)
    enterprise: str | None = None
    scopes: frozenset[str] = frozenset()
    bot_user_id: str | None = None
    platform_bot_id: str | None = None
    dead_reason: str | None = None


@dataclass(frozen=True, slots=True)
class Grant:
    """What Slack told us about a new installation. Without a team it is org-wide."""

    token: str = field(repr=False)
    team: str | None
    team_name: str = ""
    enterprise: str | None = None
    enterprise_name: str = ""
    scopes: tuple[str, ...] = ()
    app_id: str | None = None
    bot_user_id: str | None = None
    platform_bot_id: str | None = None
    by: str | None = None  # the person who agreed; None: the settings hold the token


class SlackInstallations:
    """The store of installations, shared by everything on the Slack side of this process."""

    def __init__(
        self, database: Database, vault: Vault, clock: Clock = time.time, monotonic: Clock = time.monotonic
    ) -> None:
        self._database = database
        self._vault = vault
        self._clock = clock
        self._monotonic = monotonic
        self._cache: dict[tuple[str, str], tuple[Installed, float]] = {}

    async def token_for(self, bot: BotId, tenant: TenantId) -> Installed | None:
        """The installation that serves a workspace (or an org itself); None when there is none alive.

        Raises SQLAlchemyError when the database cannot say, storage.vault.WrongKey when the token does not open.
        """
        cached = self._cache.get((bot, tenant))
        if cached is not None and cached[1] > self._monotonic():
            return cached[0]
        async with self._database.read() as tx:
            found = await self.read(tx, bot, tenant)
        if found is None:
            self._cache.pop((bot, tenant), None)
        else:
            self._cache[bot, tenant] = (found, self._monotonic() + CACHE_SECONDS)
        return found

    async def speaker(self, bot: BotId, tenant: TenantId) -> Installed | Fault:
        """The installation to call with, or the fault of the lane that has none. Raises SQLAlchemyError."""
        try:
            found = await self.token_for(bot, tenant)
        except WrongKey:
            return faults.WRONG_KEY
        return faults.NOT_INSTALLED if found is None else found

    async def read(self, tx: AsyncConnection, bot: BotId, tenant: TenantId) -> Installed | None:
        """The same from the database, inside a transaction."""
        row = await installations.get(tx, bot_id=bot, channel=SLACK, tenant_id=tenant)
        if row is None or not row.active:
            return None
        holder = await self._holder(tx, bot, row)
        if holder is None or not holder.active or holder.token is None:
            return None
        return Installed(
            bot=bot,
            tenant=tenant,
            token=self._vault.open(holder.token),
            enterprise=row.enterprise_id,
            scopes=frozenset(holder.scopes.split()),
            bot_user_id=holder.bot_user_id,
            platform_bot_id=holder.platform_bot_id,
            dead_reason=row.dead_reason,
        )

    async def bot_user(self, tx: AsyncConnection, bot: BotId, tenant: TenantId) -> str | None:
        """The Slack user who writes our messages in a workspace; None where we are not installed or were not told."""
        row = await installations.get(tx, bot_id=bot, channel=SLACK, tenant_id=tenant)
        holder = None if row is None else await self._holder(tx, bot, row)
        return None if holder is None else holder.bot_user_id

    async def _holder(self, tx: AsyncConnection, bot: BotId, row: Installation) -> Installation | None:
        """The row with the token that serves a workspace: its own, or that of its org."""
        if row.token is not None or row.enterprise_id is None:
            return row
        return await installations.get(tx, bot_id=bot, channel=SLACK, tenant_id=row.enterprise_id)

    def forget(self, bot: BotId) -> None:
        """Drop what is remembered of a bot; to be called after a commit that changed its installations."""
        for key in [key for key in self._cache if key[0] == bot]:
            del self._cache[key]

    async def install(self, tx: AsyncConnection, bot: BotId, grant: Grant) -> Lane:
        """Store a grant inside a transaction and ask for what an install still needs; returns the lane to wake.

        Slack has just handed us this token, so the install is newer than any removal we know of, whatever the clocks
        say. Call `forget` after the commit.
        """
        tenant = grant.team or grant.enterprise
        if tenant is None:
            raise ValueError("an installation names a workspace or an org")
        now = self._clock()
        known = await installations.get(tx, bot_id=bot, channel=SLACK, tenant_id=tenant)
        # Events carry whole seconds. A removal of the very second of an install is taken as its end: it may be, and
        # an install that is gone must not look alive. But one removal sends two events, and a reinstall after the
        # first must outlive the second, which has the same stamp: half a second later no removal of ours is meant.
        at = float(int(now))
        newest = 0.0 if known is None else max(known.installed_at, (known.removed_at or -1.0) + 0.5)
        row = Installation(
            bot_id=bot,
            channel=SLACK,
            tenant_id=tenant,
            installed_at=max(at, newest),
            enterprise_id=grant.enterprise,
            is_org=grant.team is None,
            name=grant.team_name if grant.team is not None else grant.enterprise_name,
            app_id=grant.app_id,
            bot_user_id=grant.bot_user_id,
            platform_bot_id=grant.platform_bot_id,
            token=self._vault.seal(grant.token),
            scopes=" ".join(grant.scopes),
        )
        await installations.save(tx, row, now)
        if grant.by is not None or known is None or not known.active:  # the settings' token is asked about each start
            actor = grant.by or (audit_events.OPERATOR if grant.by is None else audit_events.PLATFORM)
            await self._record(tx, "installed", bot, tenant, actor)
        if grant.team is None:
            return await self._ask(tx, Lane(bot, SLACK, ENTRY), TEAMS, tenant)
        return await self._ask(tx, Lane(bot, SLACK, TenantId(tenant)), DIRECTORY, "users")

    async def grant_access(
        self, tx: AsyncConnection, bot: BotId, enterprise: str, teams: Sequence[tuple[str, str]], at: float
    ) -> list[Lane]:
        """An org lets us into (id, name) workspaces; returns their lanes. An older grant undoes no newer removal."""
        lanes = []
        now = self._clock()
        for team, name in teams:
            row = Installation(bot, SLACK, team, installed_at=float(int(at)), enterprise_id=enterprise, name=name)
            known = await installations.get(tx, bot_id=bot, channel=SLACK, tenant_id=team)
            if known is not None and known.active:
                row = replace(known, enterprise_id=enterprise, name=name or known.name, dead_reason=None)
            if await installations.save(tx, row, now):
                if known is None or not known.active:
                    await self._record(tx, "installed", bot, team, audit_events.PLATFORM, organisation=enterprise)
                lanes.append(await self._ask(tx, Lane(bot, SLACK, TenantId(team)), DIRECTORY, "users"))
        return lanes

    async def remove(
        self,
        tx: AsyncConnection,
        bot: BotId,
        tenant: str | None,
        enterprise: str | None,
        at: float,
        kind: str = "uninstalled",
    ) -> bool:
        """The app was removed at `at` (Slack's time) from a workspace or, without one, from a whole org.

        `kind` is what the audit record calls it.
        """
        removed = await self._remove(tx, bot, tenant, enterprise, at)
        place = tenant or enterprise
        if removed and place is not None:
            await self._record(tx, kind, bot, place, audit_events.PLATFORM)
        return removed

    async def _remove(
        self, tx: AsyncConnection, bot: BotId, tenant: str | None, enterprise: str | None, at: float
    ) -> bool:
        now = self._clock()
        if tenant is not None:
            return await installations.remove(tx, bot_id=bot, channel=SLACK, tenant_id=tenant, event_at=at, now=now)
        if enterprise is None:
            return False
        removed = await installations.remove(tx, bot_id=bot, channel=SLACK, tenant_id=enterprise, event_at=at, now=now)
        if removed:
            for row in await installations.of_org(tx, bot_id=bot, channel=SLACK, enterprise_id=enterprise):
                if row.token is None:
                    await installations.remove(
                        tx,
                        bot_id=bot,
                        channel=SLACK,
                        tenant_id=row.tenant_id,
                        event_at=max(at, row.installed_at),
                        now=now,
                    )
        return removed

    async def keep_only(self, tx: AsyncConnection, bot: BotId, tenant: str) -> None:
        """The settings name one token: what this bot had elsewhere is over."""
        now = self._clock()
        for row in await installations.active(tx, bot_id=bot, channel=SLACK):
            if tenant not in (row.tenant_id, row.enterprise_id):
                await installations.remove(
                    tx, bot_id=bot, channel=SLACK, tenant_id=row.tenant_id, event_at=max(now, row.installed_at), now=now
                )
                await self._record(tx, "uninstalled", bot, row.tenant_id, audit_events.OPERATOR)

    async def ensure_token_installation(self, bot: BotId) -> Lane:
        """Ask, at start, for the workspace of the settings' bot token; returns the lane to wake."""
        async with self._database.write() as tx:
            return await self._ask(tx, Lane(bot, SLACK, ENTRY), IDENTIFY, "token")

    async def mark(self, installed: Installed, reason: str | None) -> None:
        """Note that Slack refuses this installation, or (None) that it answers again.

        Only a note for people: a database that fails here costs the note, not the outcome of a send.
        """
        if installed.dead_reason == reason:
            return
        try:
            async with self._database.write() as tx:
                await installations.mark_dead(
                    tx,
                    bot_id=installed.bot,
                    channel=SLACK,
                    tenant_id=installed.tenant,
                    reason=reason,
                    now=self._clock(),
                )
        except SQLAlchemyError:
            logger.warning(
                "an installation could not be marked",
                extra={"action": "slack.installation.mark_failed", "bot": installed.bot, "tenant": installed.tenant},
            )
            return
        key = (installed.bot, installed.tenant)
        cached = self._cache.get(key)
        if cached is not None and cached[0].token == installed.token:
            self._cache[key] = (replace(cached[0], dead_reason=reason), cached[1])
        logger.info(
            "an installation changed its health",
            extra={
                "action": "slack.installation.dead" if reason else "slack.installation.alive",
                "bot": installed.bot,
                "tenant": installed.tenant,
                "reason": reason,
            },
        )

    async def _record(self, tx: AsyncConnection, kind: str, bot: BotId, tenant: str, actor: str, **detail: str) -> None:
        """Write a change of an installation into the audit record; the row is committed with the change."""
        await audit_events.append(
            tx,
            at=self._clock(),
            kind=kind,
            actor=actor,
            subject=tenant,
            bot_id=bot,
            channel=SLACK,
            tenant_id=tenant,
            detail=detail,
        )

    async def _ask(self, tx: AsyncConnection, lane: Lane, kind: str, key: str) -> Lane:
        await chores.add(
            tx,
            bot_id=lane.bot,
            channel=lane.channel,
            tenant_id=lane.tenant,
            kind=kind,
            key=key,
            detail={},
            at=self._clock(),
        )
        return lane
