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
from yarl import URL

from adapters.base import (
    Address,
    BotId,
    ChannelName,
    ChannelPace,
    DeliveryId,
    Gate,
    MethodPace,
    Note,
    NotSent,
    Outcome,
    Refused,
    Repair,
    Sent,
    Uncertain,
    unheard,
)
from adapters.http import Answer, CallFailed, NeverWritten, call
from adapters.ids import readable
from adapters.teams import faults
from adapters.teams.arrivals import Arrivals
from adapters.teams.bots import TeamsBot, TeamsBots
from adapters.teams.chats import NO_APP, TeamsChats
from adapters.teams.config import TeamsPace
from adapters.teams.connector import TIMEOUT
from adapters.teams.installs import INSTALL_BUCKET, TeamsInstalls
from adapters.teams.limits import SEND_BUCKET, THREAD_WINDOWS
from adapters.teams.references import TeamsReferences
from adapters.teams.template import Prepared, activities_url, activity_for, prepare
from adapters.teams.tokens import TokenUnavailable
from storage.engine import Database

logger = logging.getLogger(__name__)

GRAPH_BUCKET: Final = "graph"
TOGETHER_SECONDS: Final = 0.02


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
        self._installs = TeamsInstalls(bots, now=now, timeout=timeout)
        self._chats = TeamsChats(bots, self._references, self._installs, Arrivals(database), now=now)
        self._pace = pace or TeamsPace()
        self._timeout = timeout
        self._now = now

    def pace(self) -> ChannelPace:
        """One bucket for everything the connector counts, without catch-up bursts; Graph counts batches and installs.

        Calls that fall into the same hundredths of a second share a commit; at the documented pace none do.
        """
        pace = self._pace
        together = 1.0 + pace.requests_per_second * TOGETHER_SECONDS
        return ChannelPace(
            send=SEND_BUCKET,
            buckets={
                SEND_BUCKET: MethodPace(pace.requests_per_second, together),
                GRAPH_BUCKET: MethodPace(pace.graph_batches_per_second, pace.graph_burst),
                INSTALL_BUCKET: MethodPace(pace.installs_per_second, 1.0),
            },
            in_flight=pace.in_flight,
            opens=True,
            installs=INSTALL_BUCKET,
            windows=THREAD_WINDOWS,
        )

    def prepare(self, payload: Mapping[str, Any]) -> Prepared:
        """Serialise the activity once."""
        return prepare(payload)

    def shows(self, prepared: object) -> bool:
        """A chat shows every message."""
        return True

    async def warm(self, bot: BotId) -> None:
        """Have a token at hand."""
        with contextlib.suppress(TokenUnavailable):
            await self._bots.get(bot).tokens.header()

    async def open(self, bot: BotId, address: Address, gate: Gate, note: Note = unheard) -> Address | NotSent | Refused:
        """Find a service URL and, where no conversation is known, open the one-to-one chat."""
        return await self._chats.open(bot, address, gate, note)

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
        if not isinstance(outcome, NotSent | Refused):
            return outcome
        learned = await self._references.learn_from(bot, address, outcome, started)
        if isinstance(learned, Refused) and learned.fault.reason == NO_APP and self._installs.wanted(bot, address):
            return Refused(replace(learned.fault, repair=Repair.CONVERSATION))  # installed anew, once
        return learned

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
