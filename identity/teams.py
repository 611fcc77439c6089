"""People of a Teams tenant by Microsoft Graph: many e-mails in few calls, asked batch by batch through the gate.

What is asked, and what an answer leads to, stands in `teams_questions.py`; whose an address is in `teams_owners.py`.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

import aiohttp

from adapters.base import BotId, Fault, FaultClass, Gate, TenantId
from adapters.http import CallFailed, parse_retry_after
from adapters.teams import graph
from adapters.teams.bots import TeamsBots
from adapters.teams.faults import CREDENTIALS_REJECTED, UNREACHABLE
from adapters.teams.limits import GRAPH_BATCH_REQUESTS, GRAPH_UNITS_PER_10_SECONDS
from adapters.teams.tokens import TokenUnavailable
from identity.answers import NotAsked, PersonAnswer
from identity.email import looks_valid
from identity.teams_owners import nobody
from identity.teams_questions import (
    RICH_ADDRESSES,
    UNREACHABLE_WAIT,
    Question,
    Result,
    body_of,
    by_everything,
    by_mail,
    divided,
    failed,
    parts_of,
    read_users,
    retried,
    settled,
)

logger = logging.getLogger(__name__)

BUCKET: Final = "graph"
TIMEOUT: Final = aiohttp.ClientTimeout(total=30, connect=5)
MAX_ANSWER: Final = 8 * 1024 * 1024
AT_ONCE: Final = 4  # batches under way at the same time; the gate sets their pace
RICH_AGAIN_AFTER: Final = 3600.0  # how long a tenant without User.Read.All is asked the poorer question
CONFIGURATION_WAIT: Final = 60.0

PERMISSION_MISSING: Final = Fault(
    FaultClass.CONFIGURATION,
    "permission_missing",
    "Grant the app User.Read.All (or User.ReadBasic.All) for Microsoft Graph, with an administrator's consent.",
    "Authorization_RequestDenied",
    costs_attempt=False,
)
THROTTLED: Final = Fault(
    FaultClass.NOT_SENT,
    "throttled",
    "Microsoft Graph asked for a pause: what did not leave by its deadline can be sent again.",
    "http_429",
    costs_attempt=False,
)
SWITCHED_OFF: Final = "Look-ups by Microsoft Graph are switched off: install the app for the person, or allow them."


class GraphPeople:
    """PeopleSource for Microsoft Teams."""

    name = "graph"

    def __init__(
        self,
        bots: TeamsBots,
        *,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
        timeout: aiohttp.ClientTimeout = TIMEOUT,
    ) -> None:
        self._bots = bots
        self._clock = clock
        self._now = now
        self._timeout = timeout
        self._basic_until: dict[tuple[BotId, TenantId], float] = {}

    def unasked(self, bot: BotId) -> NotAsked | None:
        """Graph may be switched off for a bot."""
        return None if self._bots.get(bot).app.graph else NotAsked(SWITCHED_OFF)

    async def find(
        self, bot: BotId, tenant: TenantId, addresses: Sequence[str], gate: Gate
    ) -> AsyncIterator[Mapping[str, PersonAnswer]]:
        """Look the addresses up, batch by batch."""
        wanted = list(dict.fromkeys(addresses))
        unasked = self.unasked(bot)
        if unasked is not None:
            if wanted:
                yield dict.fromkeys(wanted, unasked)
            return
        hopeless = {address: nobody("person_not_found") for address in wanted if not looks_valid(address)}
        if hopeless:
            yield hopeless
        waiting = deque(self._questions(bot, tenant, [address for address in wanted if address not in hopeless]))
        running: set[asyncio.Task[Result]] = set()
        try:
            while waiting or running:
                while waiting and len(running) < AT_ONCE:
                    batch = [waiting.popleft() for _ in range(min(GRAPH_BATCH_REQUESTS, len(waiting)))]
                    running.add(asyncio.create_task(self._ask(bot, tenant, batch, gate)))
                done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    result = task.result()
                    waiting.extend(result.again)
                    if result.answers:
                        yield result.answers
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)

    async def seconds(self, bot: BotId, tenant: TenantId, unknown: int) -> float:
        """About how long looking so many addresses up takes: batches of full questions at the documented pace."""
        if self.unasked(bot) is not None:
            return 0.0
        units = math.ceil(unknown / RICH_ADDRESSES)
        return max(units - GRAPH_UNITS_PER_10_SECONDS, 0) / (GRAPH_UNITS_PER_10_SECONDS / 10.0)

    def _questions(self, bot: BotId, tenant: TenantId, addresses: Sequence[str]) -> list[Question]:
        if self._clock() < self._basic_until.get((bot, tenant), 0.0):
            return by_mail(addresses)
        return by_everything(addresses)

    async def _ask(self, bot: BotId, tenant: TenantId, batch: Sequence[Question], gate: Gate) -> Result:
        """One $batch POST, and what each of its parts says."""
        await gate.enter(BUCKET)
        try:
            answer = await graph.ask(
                self._bots, bot, tenant, "POST", "$batch", body_of(batch), timeout=self._timeout, limit=MAX_ANSWER
            )
        except TokenUnavailable as error:
            return failed(batch, error.fault, CONFIGURATION_WAIT)
        except CallFailed as error:
            return failed(batch, replace(UNREACHABLE, code=error.code), UNREACHABLE_WAIT)
        if answer.status == 401:
            return retried(batch, CREDENTIALS_REJECTED, CONFIGURATION_WAIT, most=2)
        if answer.status == 429:
            return self._throttled(batch, gate, self._pause(answer.headers))
        if answer.status == 403:
            return self._denied(bot, tenant, batch)
        parts = parts_of(graph.found(answer))
        if parts is None:
            fault = replace(UNREACHABLE, code=f"http_{answer.status}")
            return retried(batch, fault, self._pause(answer.headers) or UNREACHABLE_WAIT)
        return self._read(bot, tenant, batch, parts, gate)

    def _read(
        self,
        bot: BotId,
        tenant: TenantId,
        batch: Sequence[Question],
        parts: Mapping[str, Mapping[str, Any]],
        gate: Gate,
    ) -> Result:
        """Join the parts, which come in any order and each with a status of its own."""
        answers: dict[str, PersonAnswer] = {}
        again: list[Question] = []
        for number, question in enumerate(batch):
            result = self._read_part(bot, tenant, question, parts.get(str(number), {}), gate)
            answers.update(result.answers)
            again.extend(result.again)
        return Result(answers, again)

    def _read_part(
        self, bot: BotId, tenant: TenantId, question: Question, part: Mapping[str, Any], gate: Gate
    ) -> Result:
        status = part.get("status")
        if status == 200:
            return read_users(question, part.get("body"))
        if status == 404 and question.by_name:
            return settled(question, [])
        if status == 429:
            headers = part.get("headers")
            return self._throttled([question], gate, self._pause(headers if isinstance(headers, dict) else {}))
        if status == 403:
            return self._denied(bot, tenant, [question])
        if status == 400:
            return divided(question)
        code = f"http_{status}" if isinstance(status, int) else "unreadable_part"
        return retried([question], replace(UNREACHABLE, code=code), UNREACHABLE_WAIT)

    def _throttled(self, batch: Sequence[Question], gate: Gate, pause: float | None) -> Result:
        """Hold the lane's Graph bucket and ask the same again; the gate makes them wait."""
        gate.throttled(BUCKET, pause)
        return retried(batch, THROTTLED, pause or UNREACHABLE_WAIT)

    def _denied(self, bot: BotId, tenant: TenantId, batch: Sequence[Question]) -> Result:
        """Without User.Read.All ask the poorer question; without that permission too, the lane is at fault."""
        rich = [address for question in batch if question.rich for address in question.addresses]
        if rich:
            self._basic_until[bot, tenant] = self._clock() + RICH_AGAIN_AFTER
            logger.warning("graph_basic_only", extra={"action": "graph_basic_only", "bot": bot, "tenant": tenant})
        refused = failed([q for q in batch if not q.rich], PERMISSION_MISSING, CONFIGURATION_WAIT)
        return Result(refused.answers, by_mail(rich))

    def _pause(self, headers: Mapping[str, Any]) -> float | None:
        found = next((value for name, value in headers.items() if name.lower() == "retry-after"), None)
        return parse_retry_after(None if found is None else str(found), datetime.fromtimestamp(self._now(), UTC))
