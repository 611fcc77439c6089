"""What Slack's events teach us. Each event is one transaction: its id and its effect, or neither.

No event makes a call to Slack: user_change fires for every status edit and may come 30 000 times an hour.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from adapters.base import BotId, Lane, TenantId
from adapters.evidence import Evidence, EvidenceKind, EvidenceSink, Press
from adapters.ids import MAX_TENANT
from adapters.slack.config import Clock, NormalForm, Wake
from adapters.slack.envelope import Envelope, text
from adapters.slack.installations import SLACK, SlackInstallations
from adapters.slack.people import Workspace, person_of, teams_of
from adapters.slack.presses import presses_of
from storage import directory, failpoints, inbox, installations, references
from storage.engine import Database
from storage.references import Reference

logger = logging.getLogger(__name__)

Effect = Callable[[AsyncConnection, Envelope], Awaitable[list[Lane]]]

WRITTEN = (None, "file_share", "thread_broadcast")  # subtypes of message that a person writes


class SlackEvents:
    """Stores one bot's events and button presses."""

    def __init__(
        self,
        bot: BotId,
        database: Database,
        store: SlackInstallations,
        *,
        normal_form: NormalForm,
        evidence: EvidenceSink,
        wake: Wake,
        clock: Clock,
    ) -> None:
        self._bot = bot
        self._database = database
        self._store = store
        self._normal_form = normal_form
        self._evidence = evidence
        self._wake = wake
        self._clock = clock
        self.effects: Mapping[str, Effect] = {
            "app_home_opened": self._home_opened,
            "message": self._message,
            "reaction_added": self._reaction,
            "team_join": self._person,
            "user_change": self._person,
            "user_profile_changed": self._person,
            "app_uninstalled": self._uninstalled,
            "tokens_revoked": self._tokens_revoked,
            "team_access_granted": self._access_granted,
            "team_access_revoked": self._access_revoked,
        }

    async def store(self, envelope: Envelope) -> None:
        """Store an event's effect with its id; a repetition changes nothing. Raises what the database raises."""
        effect = self.effects.get(envelope.kind)
        if effect is None:
            return
        lanes: list[Lane] = []

        async def write_all(tx: AsyncConnection) -> None:
            lanes.clear()
            if await inbox.first_time(
                tx, bot_id=self._bot, channel=SLACK, event_id=envelope.event_id, now=self._clock()
            ):
                lanes.extend(await effect(tx, envelope))
                failpoints.reach("inbound.before_commit")

        try:
            await self._database.transact(write_all)
            failpoints.reach("inbound.committed")
        finally:  # a commit that was cancelled may be done, and the repetition would find nothing new
            self._tell(envelope, lanes)
        if envelope.kind in _OF_INSTALLATIONS:
            logger.info(
                "an event changed the installations",
                extra={
                    "action": f"slack.event.{envelope.kind}",
                    "bot": self._bot,
                    "tenant": envelope.tenant or envelope.enterprise,
                    "event_id": envelope.event_id,
                },
            )

    def _tell(self, envelope: Envelope, lanes: list[Lane]) -> None:
        """Let the rest of the process look at the database again; that costs little when nothing has changed."""
        if envelope.kind in _OF_INSTALLATIONS:
            self._store.forget(self._bot)
        for lane in lanes:
            self._wake(lane)

    async def pressed(self, body: Mapping[str, Any]) -> None:
        """A person pressed a button (block_actions, interactive_message): proof that the message is there."""
        user, container = _object(body, "user"), _object(body, "container")
        team = text(_object(body, "team").get("id"), MAX_TENANT) or text(user.get("team_id"), MAX_TENANT)
        person = text(user.get("id"))
        conversation = text(container.get("channel_id")) or text(_object(body, "channel").get("id"))
        if team is None or person is None or conversation is None:
            return
        message = text(container.get("message_ts")) or text(body.get("message_ts"))
        at, presses = self._clock(), presses_of(body)
        await self._database.transact(
            lambda tx: self._prove(tx, TenantId(team), person, conversation, message, "button", at, presses)
        )

    async def _home_opened(self, tx: AsyncConnection, envelope: Envelope) -> list[Lane]:
        person, conversation = envelope.text("user"), envelope.text("channel")
        tenant = await self._tenant(tx, envelope)
        if person and conversation and tenant:
            await self._capture(tx, tenant, person, conversation, envelope.at)
        return []

    async def _message(self, tx: AsyncConnection, envelope: Envelope) -> list[Lane]:
        """message.im: the person wrote to the app; in a thread it is the thread's message they answer."""
        event = envelope.event
        if event.get("channel_type") != "im" or event.get("subtype") not in WRITTEN or event.get("bot_id"):
            return []
        person, conversation = envelope.text("user"), envelope.text("channel")
        tenant = await self._tenant(tx, envelope)
        if person and conversation and tenant:
            await self._capture(tx, tenant, person, conversation, envelope.at)
            thread = envelope.text("thread_ts")
            author = event.get("parent_user_id") or _object(event, "root").get("user")
            is_answer = thread != envelope.text("ts") and await self._is_ours(tx, tenant, author)
            await self._prove(tx, tenant, person, conversation, thread if is_answer else None, "reply", envelope.at)
        return []

    async def _reaction(self, tx: AsyncConnection, envelope: Envelope) -> list[Lane]:
        item = _object(envelope.event, "item")
        person, conversation, message = envelope.text("user"), text(item.get("channel")), text(item.get("ts"))
        tenant = await self._tenant(tx, envelope)
        if not (person and conversation and message and tenant and conversation.startswith("D")):
            return []
        if await self._is_ours(tx, tenant, envelope.event.get("item_user")):
            await self._prove(tx, tenant, person, conversation, message, "reaction", envelope.at)
        return []

    async def _person(self, tx: AsyncConnection, envelope: Envelope) -> list[Lane]:
        """team_join, user_change: a new person, address or name; somebody left or came back."""
        user = envelope.event.get("user")
        for workspace in await self._workspaces(tx, envelope, user):
            person = person_of(user, workspace, self._normal_form)
            if person is None:
                continue
            lane: dict[str, Any] = {"bot_id": self._bot, "channel": SLACK, "tenant_id": workspace.tenant}
            if person.emails:
                await directory.learn(tx, **lane, persons=[person], source="event", now=self._clock())
            else:  # without users:read.email nobody has an address: that is no news about this person
                await directory.set_disabled(
                    tx, **lane, user_id=person.user_id, disabled=person.disabled, now=self._clock()
                )
        return []

    async def _uninstalled(self, tx: AsyncConnection, envelope: Envelope) -> list[Lane]:
        await self._store.remove(tx, self._bot, envelope.tenant, envelope.enterprise, envelope.at)
        return []

    async def _tokens_revoked(self, tx: AsyncConnection, envelope: Envelope) -> list[Lane]:
        """Names users, not tokens: ours is revoked when our bot user is named."""
        tokens = _object(envelope.event, "tokens")
        named = tokens.get("bot")
        tenant = None if envelope.org_wide else envelope.tenant  # an org has one token for all its workspaces
        place = tenant or envelope.enterprise
        if not isinstance(named, list) or not named or place is None:
            return []
        row = await installations.get(tx, bot_id=self._bot, channel=SLACK, tenant_id=place)
        if row is not None and (row.bot_user_id is None or row.bot_user_id in named):
            await self._store.remove(tx, self._bot, tenant, envelope.enterprise, envelope.at, kind="tokens_revoked")
        return []

    async def _access_granted(self, tx: AsyncConnection, envelope: Envelope) -> list[Lane]:
        if envelope.enterprise is None:
            return []
        teams = [(team, "") for team in envelope.texts("team_ids", MAX_TENANT)]
        return await self._store.grant_access(tx, self._bot, envelope.enterprise, teams, envelope.at)

    async def _access_revoked(self, tx: AsyncConnection, envelope: Envelope) -> list[Lane]:
        for team in envelope.texts("team_ids", MAX_TENANT):
            await self._store.remove(tx, self._bot, team, None, envelope.at)
        return []

    async def _tenant(self, tx: AsyncConnection, envelope: Envelope) -> TenantId | None:
        """The installed workspace of an event; None when we are not (or no longer) installed there."""
        if envelope.tenant is None:
            return None
        row = await installations.get(tx, bot_id=self._bot, channel=SLACK, tenant_id=envelope.tenant)
        if row is None or not row.active or (envelope.org_wide and row.enterprise_id != envelope.enterprise):
            return None
        return TenantId(row.tenant_id)

    async def _is_ours(self, tx: AsyncConnection, tenant: TenantId, author: object) -> bool:
        """Whether we wrote a message. People answer and react to their own too, and those prove nothing."""
        ours = await self._store.bot_user(tx, self._bot, tenant)
        return ours is not None and author == ours

    async def _workspaces(self, tx: AsyncConnection, envelope: Envelope, user: object) -> list[Workspace]:
        """The installed workspaces whose directory an event about a person concerns."""
        if not isinstance(user, dict):
            return []
        tenant = await self._tenant(tx, envelope)
        found = {tenant: Workspace(tenant, envelope.enterprise)} if tenant is not None else {}
        if envelope.org_wide and envelope.enterprise is not None:
            mine = teams_of(user)
            rows = await installations.of_org(tx, bot_id=self._bot, channel=SLACK, enterprise_id=envelope.enterprise)
            for row in rows:
                if row.tenant_id in mine:
                    found[TenantId(row.tenant_id)] = Workspace(row.tenant_id, envelope.enterprise)
        return list(found.values())

    async def _capture(self, tx: AsyncConnection, tenant: TenantId, person: str, conversation: str, at: float) -> None:
        reference = Reference(self._bot, SLACK, tenant, person, person, conversation, None, at)
        await references.capture(tx, reference, self._clock())

    async def _prove(
        self,
        tx: AsyncConnection,
        tenant: TenantId,
        person: str,
        conversation: str,
        message: str | None,
        kind: EvidenceKind,
        at: float,
        presses: tuple[Press, ...] = (),
    ) -> None:
        evidence = Evidence(self._bot, SLACK, tenant, person, conversation, message, kind, at, presses=presses)
        await self._evidence(tx, evidence)


_OF_INSTALLATIONS = frozenset({"app_uninstalled", "tokens_revoked", "team_access_granted", "team_access_revoked"})


def _object(body: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = body.get(name)
    return value if isinstance(value, dict) else {}
