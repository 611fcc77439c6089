"""The one-to-one chat with a person: found, created, or opened by installing the app, in the cheapest order.

    createConversation ──▶ chat
        │ the app is not there, and may be installed
        ▼
    install ──▶ the install event's conversation ──▶ createConversation ──▶ /chat      each only if the one before fails

Whoever has the app costs one call, and so does a refused attempt: after somebody without the app the next person is
installed first, and after somebody who had it already the next is created first again.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final, TypeGuard, assert_never

from botbuilder.schema import ChannelAccount, ConversationParameters

from adapters.base import Address, BotId, Gate, Note, NotSent, Refused, TenantId, TraceStep
from adapters.http import CallFailed, parse_retry_after
from adapters.ids import MAX_CONVERSATION, readable
from adapters.teams import faults
from adapters.teams.arrivals import Arrivals
from adapters.teams.bots import TeamsBots
from adapters.teams.connector import Answered, result_of
from adapters.teams.installs import Installed, TeamsInstalls
from adapters.teams.limits import SEND_BUCKET
from adapters.teams.references import TeamsReferences
from adapters.teams.tokens import TokenUnavailable

NO_APP: Final = "app_not_installed"


class TeamsChats:
    """Completes addresses. Everything here may be repeated: creating and installing come to the same chat again."""

    def __init__(
        self,
        bots: TeamsBots,
        references: TeamsReferences,
        installs: TeamsInstalls,
        arrivals: Arrivals,
        *,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._bots = bots
        self._references = references
        self._installs = installs
        self._arrivals = arrivals
        self._now = now
        self._lately_without_app: set[tuple[BotId, TenantId]] = set()

    async def open(self, bot: BotId, address: Address, gate: Gate, note: Note) -> Address | NotSent | Refused:
        """An address with a conversation and a permitted service URL."""
        service_url = await self._references.service_url(bot, address)
        if service_url is None:
            return NotSent(faults.NO_SERVICE_URL)
        address = replace(address, service_url=service_url)
        if address.conversation_id is not None:
            return address
        started = self._now()
        found = await self._reach(bot, address, gate, note)
        if isinstance(found, Address):
            return found
        if isinstance(found, str):
            opened = replace(address, conversation_id=found)
            await self._references.keep(self._references.opened(bot, opened))
            return opened
        return await self._references.learn_from(bot, address, found, started)

    async def _reach(self, bot: BotId, address: Address, gate: Gate, note: Note) -> Address | str | NotSent | Refused:
        """The chat's id or, from an event, the whole address."""
        if not self._installs.wanted(bot, address):
            return await self._created(bot, address, gate, note)
        tenant = (bot, address.tenant)
        tried = tenant not in self._lately_without_app
        if tried:
            created = await self._created(bot, address, gate, note)
            if not _lacks_app(created):
                return created
            self._lately_without_app.add(tenant)
        put = await self._installs.install(bot, address, gate)
        note(_step("install", put.value if isinstance(put, Installed) else put))
        match put:
            case NotSent() | Refused():
                return await self._without_install(bot, address, gate, note, put, tried=tried)
            case Installed.BEFORE:
                self._lately_without_app.discard(tenant)
            case Installed.NOW:
                tried = False
                if (arrived := await self._arrived(bot, address, note)) is not None:
                    return arrived
            case _:
                assert_never(put)
        if not tried:
            created = await self._created(bot, address, gate, note)
            if not _lacks_app(created):
                return created
        shown = await self._installs.chat(bot, address, gate)
        note(_step("conversation", "shown by Graph" if isinstance(shown, str) else shown))
        return shown

    async def _without_install(
        self, bot: BotId, address: Address, gate: Gate, note: Note, failed: NotSent | Refused, *, tried: bool
    ) -> str | NotSent | Refused:
        """What forbids an install holds nobody who has the app: whether they do, only creating shows."""
        self._lately_without_app.discard((bot, address.tenant))
        if tried:
            return failed
        created = await self._created(bot, address, gate, note)
        return failed if _lacks_app(created) else created

    async def _arrived(self, bot: BotId, address: Address, note: Note) -> Address | None:
        arrived = await self._arrivals.wait(bot, address)
        if arrived is None or await self._references.service_url(bot, arrived) != arrived.service_url:
            return None
        note(_step("conversation", "told by the install event"))
        return arrived

    async def _created(self, bot: BotId, address: Address, gate: Gate, note: Note) -> str | NotSent | Refused:
        await gate.enter(SEND_BUCKET)
        created = await self._create(bot, address)
        if not isinstance(created, NotSent):
            gate.went_well(SEND_BUCKET)
        elif created.fault.reason == "throttled":
            gate.throttled(SEND_BUCKET, created.retry_after)
        note(_step("conversation", "created" if isinstance(created, str) else created))
        return created

    async def _create(self, bot: BotId, address: Address) -> str | NotSent | Refused:
        """One createConversation. Whatever is unclear may be asked again."""
        known = self._bots.get(bot)
        client = await known.pool.create(str(address.service_url), self._bots.endpoints.bot_issuer)
        parameters = ConversationParameters(
            is_group=False,
            bot=ChannelAccount(id=known.app.channel_account),
            members=[ChannelAccount(id=address.user_id)],
            tenant_id=address.tenant,
            channel_data={"tenant": {"id": address.tenant}},  # tenant_id is spelled tenantID by the SDK
        )
        try:
            found = await result_of(client.conversations.create_conversation(parameters))
        except TokenUnavailable as error:
            return NotSent(error.fault)
        except CallFailed as error:
            return NotSent(replace(faults.UNREACHABLE, code=error.code))
        except Answered as error:
            answer = error.answer
            fault = faults.of_create(faults.classify(answer.status, answer.headers, answer.body), answer.status)
            moment = datetime.fromtimestamp(self._now(), UTC)
            return faults.repeatable(fault, parse_retry_after(answer.headers.get("Retry-After"), moment), SEND_BUCKET)
        created = readable(getattr(found, "id", None), MAX_CONVERSATION)
        if created is None:
            return faults.repeatable(replace(faults.NO_CLEAR_ANSWER, code="created_without_id"), None, SEND_BUCKET)
        return created


def _lacks_app(created: str | NotSent | Refused) -> TypeGuard[Refused]:
    return isinstance(created, Refused) and created.fault.reason == NO_APP


def _step(source: str, result: str | NotSent | Refused) -> TraceStep:
    if isinstance(result, str):
        return TraceStep(source, result, 0.0)
    return TraceStep(source, result.fault.reason, 0.0, result.fault.code)
