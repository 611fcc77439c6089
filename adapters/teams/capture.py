"""What an event changes in the database: one transaction, together with the note that it has been handled.

Events come late, doubled and out of order. Each write carries the platform's time, and a removal leaves a tombstone,
so an install event that arrives after it does not revive the reference.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from adapters.base import BotId, ChannelName, Lane, TenantId
from adapters.evidence import Evidence, EvidenceSink
from adapters.teams.config import TeamsApp
from adapters.teams.events import TeamsEvent, TeamsPerson
from storage import audit_events, chores, failpoints, inbox, installations, references
from storage.engine import Database
from storage.installations import Installation
from storage.references import Reference

logger = logging.getLogger(__name__)

CHANNEL: Final = ChannelName.MSTEAMS
MEMBER_CHORE: Final = "teams.member"
MAX_CHORE_KEY: Final = 255


class Capture:
    """Stores events for all bots."""

    def __init__(
        self,
        database: Database,
        *,
        evidence: EvidenceSink,
        wake: Callable[[Lane], None],
        now: Callable[[], float] = time.time,
    ) -> None:
        self._database = database
        self._evidence = evidence
        self._wake = wake
        self._now = now

    async def store(self, app: TeamsApp, event: TeamsEvent) -> None:
        """Write what the event says; afterwards wake the lane if there is work. Raises what the database raises."""
        tenant = event.tenant
        if tenant is None:
            return
        wakes = False

        async def write_all(tx: AsyncConnection) -> None:
            nonlocal wakes
            wakes = await self._apply(tx, app, event, tenant)
            failpoints.reach("inbound.before_commit")

        try:
            await self._database.transact(write_all)
            failpoints.reach("inbound.committed")
        finally:  # a commit that was cancelled may be done, and the repetition would find nothing new
            if wakes:
                self._wake(Lane(app.bot, CHANNEL, TenantId(tenant)))
        logger.info(
            "teams_event",
            extra={"action": "teams_event", "bot": app.bot, "tenant": event.tenant, "kind": event.kind}
            | {"change": event.change, "personal": event.person is not None},
        )

    async def _apply(self, tx: AsyncConnection, app: TeamsApp, event: TeamsEvent, tenant: str) -> bool:
        now = self._now()
        if event.key is not None and not await inbox.first_time(
            tx, bot_id=app.bot, channel=CHANNEL.value, event_id=event.key, now=now
        ):
            return False
        installation = Installation(
            app.bot,
            CHANNEL.value,
            tenant,
            installed_at=event.at,
            app_id=app.app_id,
            service_url=event.service_url,
        )
        is_new = await installations.ensure(tx, installation, now)
        await self._record(tx, app.bot, event, tenant, is_new=is_new)
        if event.person is None or event.conversation_id is None:
            return False
        wakes = await self._apply_to_person(tx, app.bot, event, event.person, tenant)
        if event.evidence is not None and not await self._is_about_their_own(tx, app.bot, event):
            await self._evidence(
                tx,
                Evidence(
                    bot=app.bot,
                    channel=CHANNEL,
                    tenant=TenantId(tenant),
                    user_id=event.person.user_id,
                    conversation_id=event.conversation_id,
                    message_id=event.message_id,
                    kind=event.evidence,
                    at=event.at,
                    channel_id=event.person.channel_id,
                    presses=() if event.press is None else (event.press,),
                    said=event.said,
                ),
            )
        return wakes

    async def _record(self, tx: AsyncConnection, bot: BotId, event: TeamsEvent, tenant: str, *, is_new: bool) -> None:
        """The audit record holds a tenant's first event and what happens to teams; a person's own app is no tenant's.

        Teams tells an install twice, as installationUpdate and as conversationUpdate; the former counts.
        """
        in_team = event.kind == "installationUpdate" and event.person is None and event.conversation_id is not None
        if not is_new and not (in_team and event.change in ("installed", "removed")):
            return
        await audit_events.append(
            tx,
            at=self._now(),
            kind="installed" if is_new or event.change == "installed" else "uninstalled",
            actor=event.by or audit_events.PLATFORM,
            subject=tenant if is_new else str(event.conversation_id),
            bot_id=bot,
            channel=CHANNEL.value,
            tenant_id=tenant,
        )

    async def _is_about_their_own(self, tx: AsyncConnection, bot: BotId, event: TeamsEvent) -> bool:
        """Whether a receipt, an answer or a reaction names a message of the person's own: that proves none of ours."""
        if event.own_key is None:
            return False
        return await inbox.is_known(tx, bot_id=bot, channel=CHANNEL.value, event_id=event.own_key)

    async def _apply_to_person(
        self, tx: AsyncConnection, bot: BotId, event: TeamsEvent, person: TeamsPerson, tenant: str
    ) -> bool:
        """Capture or deactivate the reference; True if the person's e-mail is still to be learned."""
        if event.change == "none":
            return False
        now = self._now()
        is_new = event.change == "installed" or not await self._is_known(tx, bot, tenant, person)
        captured = await references.capture(
            tx,
            Reference(
                bot_id=bot,
                channel=CHANNEL.value,
                tenant_id=tenant,
                user_id=person.user_id,
                channel_id=person.channel_id,
                conversation_id=event.conversation_id,
                service_url=event.service_url,
                learned_at=event.at,
            ),
            now,
        )
        if event.change == "removed":
            if captured:
                await self._deactivate(tx, bot, event, person, tenant)
            return False
        if not captured or not is_new:
            return False
        await self._ask_for_member(tx, bot, event, person, tenant)
        return True

    async def _is_known(self, tx: AsyncConnection, bot: BotId, tenant: str, person: TeamsPerson) -> bool:
        found = await references.find(tx, bot_id=bot, channel=CHANNEL.value, tenant_id=tenant, persons=[person.user_id])
        return person.user_id in found

    async def _deactivate(
        self, tx: AsyncConnection, bot: BotId, event: TeamsEvent, person: TeamsPerson, tenant: str
    ) -> None:
        await references.deactivate(
            tx,
            bot_id=bot,
            channel=CHANNEL.value,
            tenant_id=tenant,
            person=person.user_id,
            reason="app_not_installed",
            learned_at=event.at,
            now=self._now(),
        )

    async def _ask_for_member(
        self, tx: AsyncConnection, bot: BotId, event: TeamsEvent, person: TeamsPerson, tenant: str
    ) -> None:
        """Have the lane learn the person's e-mail: one members call, which needs no Graph permission."""
        conversation_id = str(event.conversation_id)
        await chores.add(
            tx,
            bot_id=bot,
            channel=CHANNEL.value,
            tenant_id=tenant,
            kind=MEMBER_CHORE,
            key=conversation_id[:MAX_CHORE_KEY],
            detail={
                "conversation_id": conversation_id,
                "user_id": person.user_id,
                "channel_id": person.channel_id,
                "service_url": event.service_url,
            },
            at=self._now(),
        )
