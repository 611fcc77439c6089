"""The Teams channel: open a conversation, send one message, say truthfully what became of it.

A send is one POST on the shared session and has no idempotency key: only 429, 412 and a request that was never written
are safe to repeat. Creating a conversation returns the same id again, so all of its failures are.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

import aiohttp
import orjson
from botbuilder.schema import ChannelAccount, ConversationParameters
from sqlalchemy.exc import SQLAlchemyError
from yarl import URL

from adapters.base import (
    Address,
    BotId,
    ChannelName,
    ChannelPace,
    DeliveryId,
    Gate,
    MethodPace,
    NotSent,
    Outcome,
    Refused,
    Repair,
    Sent,
    Uncertain,
)
from adapters.http import Answer, CallFailed, NeverWritten, call, parse_retry_after
from adapters.ids import MAX_CONVERSATION, readable
from adapters.teams import faults
from adapters.teams.bots import TeamsBot, TeamsBots
from adapters.teams.config import TeamsPace
from adapters.teams.connector import TIMEOUT, Answered, result_of
from adapters.teams.limits import THREAD_WINDOWS
from adapters.teams.references import TeamsReferences
from adapters.teams.template import Prepared, activities_url, activity_for, prepare
from adapters.teams.tokens import TokenUnavailable
from storage.engine import Database

logger = logging.getLogger(__name__)

SEND_BUCKET: Final = "connector"
GRAPH_BUCKET: Final = "graph"
TOGETHER_SECONDS: Final = 0.02
UNUSABLE: Final = ("app_not_installed", "blocked_by_recipient")


class TeamsChannel:
    """Channel for Microsoft Teams."""

    name = ChannelName.MSTEAMS

    def __init__(
        self,
        bots: TeamsBots,
        database: Database,
        *,
        pace: TeamsPace | None = None,
        timeout: aiohttp.ClientTimeout = TIMEOUT,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._bots = bots
        self._references = TeamsReferences(database, bots, now=now)
        self._pace = pace or TeamsPace()
        self._timeout = timeout
        self._now = now

    def pace(self) -> ChannelPace:
        """One bucket for everything the connector counts, without catch-up bursts, and one for Graph batches.

        Calls that fall into the same hundredths of a second share a commit; at the documented pace none do.
        """
        pace = self._pace
        together = 1.0 + pace.requests_per_second * TOGETHER_SECONDS
        return ChannelPace(
            send=SEND_BUCKET,
            buckets={
                SEND_BUCKET: MethodPace(pace.requests_per_second, together),
                GRAPH_BUCKET: MethodPace(pace.graph_batches_per_second, pace.graph_burst),
            },
            in_flight=pace.in_flight,
            opens=True,
            windows=THREAD_WINDOWS,
        )

    def prepare(self, payload: Mapping[str, Any]) -> Prepared:
        """Serialise the activity once."""
        return prepare(payload)

    async def warm(self, bot: BotId) -> None:
        """Have a token at hand."""
        with contextlib.suppress(TokenUnavailable):
            await self._bots.get(bot).tokens.header()

    async def open(self, bot: BotId, address: Address, gate: Gate) -> Address | NotSent | Refused:
        """Find a service URL and, where no conversation is known, create the one-to-one chat."""
        service_url = await self._references.service_url(bot, address)
        if service_url is None:
            return NotSent(faults.NO_SERVICE_URL)
        if address.conversation_id is not None:
            return replace(address, service_url=service_url)
        await gate.enter(SEND_BUCKET)
        created = await self._create(self._bots.get(bot), address, service_url)
        if not isinstance(created, str):
            return await self._not_opened(bot, replace(address, service_url=service_url), created, gate)
        opened = replace(address, conversation_id=created, service_url=service_url)
        await self._keep(self._references.opened(bot, opened))
        return opened

    async def send(self, bot: BotId, address: Address, prepared: object, delivery: DeliveryId) -> Outcome:
        """Post the activity, once."""
        if not isinstance(prepared, Prepared):
            raise TypeError("prepared must come from TeamsChannel.prepare")
        if address.conversation_id is None or address.service_url is None:
            return Refused(faults.NO_CONVERSATION)
        if not self._bots.service_urls.permits(address.service_url):
            logger.warning(
                "teams_service_url_refused",
                extra={"action": "teams_service_url_refused", "bot": bot, "delivery": delivery},
            )
            return Refused(faults.UNTRUSTED_SERVICE_URL)
        known = self._bots.get(bot)
        try:
            header = await known.tokens.header()
        except TokenUnavailable as error:
            return NotSent(error.fault)
        started = self._now()
        outcome = await self._post(known, address, address.conversation_id, prepared, header)
        if isinstance(outcome, NotSent | Refused):
            return await self._learn_from(bot, address, outcome, started)
        return outcome

    async def _post(
        self, known: TeamsBot, address: Address, conversation_id: str, prepared: Prepared, header: str
    ) -> Outcome:
        url = URL(activities_url(str(address.service_url), conversation_id), encoded=True)
        body = activity_for(prepared, known.app.channel_account, conversation_id, address.channel_id)
        try:
            answer = await call(
                self._bots.session, "POST", url, headers=_headers(header), data=body, timeout=self._timeout
            )
        except NeverWritten as error:
            return NotSent(replace(faults.UNREACHABLE, code=error.code))
        except CallFailed as error:
            return Uncertain(replace(faults.NO_CLEAR_ANSWER, code=error.code))
        if answer.status == 401:
            known.tokens.expire(header)
        return self._read(answer)

    def _read(self, answer: Answer) -> Outcome:
        if not 200 <= answer.status < 300:
            return faults.outcome_of(answer, self._moment(), SEND_BUCKET)
        message_id = _id_in(answer)
        if message_id is None:
            return Uncertain(replace(faults.NO_CLEAR_ANSWER, code=f"http_{answer.status}_without_id"))
        return Sent(message_id)

    async def _learn_from(
        self, bot: BotId, address: Address, outcome: NotSent | Refused, started: float
    ) -> NotSent | Refused:
        """Store what a refusal says about the reference before the drain resolves the person again."""
        fault = outcome.fault
        if fault.repair is Repair.SERVICE_URL:
            moved = await self._keep(self._references.move(bot, address))
            return outcome if moved else NotSent(replace(faults.NO_SERVICE_URL, code=fault.code, detail=fault.detail))
        if fault.repair is Repair.CONVERSATION:
            await self._keep(self._references.forget_conversation(bot, address))
        elif isinstance(outcome, Refused) and fault.reason in UNUSABLE:
            await self._keep(self._references.deactivate(bot, address, fault.reason, started))
        return outcome

    async def _create(self, known: TeamsBot, address: Address, service_url: str) -> str | NotSent | Refused:
        """The conversation's id, or why there is none. Whatever is unclear may be asked again."""
        client = await known.pool.create(service_url, self._bots.endpoints.bot_issuer)
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
            fault = faults.classify(answer.status, answer.headers, answer.body)
            pause = parse_retry_after(answer.headers.get("Retry-After"), self._moment())
            return faults.repeatable(fault, pause, SEND_BUCKET)
        created = readable(getattr(found, "id", None), MAX_CONVERSATION)
        if created is None:
            return faults.repeatable(replace(faults.NO_CLEAR_ANSWER, code="created_without_id"), None, SEND_BUCKET)
        return created

    async def _not_opened(
        self, bot: BotId, address: Address, outcome: NotSent | Refused, gate: Gate
    ) -> NotSent | Refused:
        """When to try again is the platform's word or, without one, the drain's: it knows how often it has tried."""
        if isinstance(outcome, NotSent) and outcome.fault.reason == "throttled":
            gate.throttled(SEND_BUCKET, outcome.retry_after)
        return await self._learn_from(bot, address, outcome, self._now())

    async def _keep(self, write: Any) -> bool:
        """Store what was learned; the platform's answer stands even if the database does not take it."""
        try:
            return bool(await write)
        except (SQLAlchemyError, OSError) as error:
            logger.warning(
                "teams_reference_not_stored",
                extra={"action": "teams_reference_not_stored", "code": type(error).__name__},
            )
            return False

    def _moment(self) -> datetime:
        return datetime.fromtimestamp(self._now(), UTC)


def _headers(header: str) -> dict[str, str]:
    return {"Authorization": header, "Content-Type": "application/json; charset=utf-8", "Accept": "application/json"}


def _id_in(answer: Answer) -> str | None:
    if not answer.whole:
        return None
    try:
        parsed = orjson.loads(answer.body)
    except ValueError:
        return None
    found = parsed.get("id") if isinstance(parsed, dict) else None
    return readable(found)
