"""One call to Microsoft Graph as a bot, in a customer's tenant, and the object it was answered with."""

from __future__ import annotations

from typing import Any

import aiohttp
import orjson

from adapters.base import BotId, TenantId
from adapters.http import MAX_ANSWER, Answer, call
from adapters.teams.bots import TeamsBots


async def ask(
    bots: TeamsBots,
    bot: BotId,
    tenant: TenantId,
    method: str,
    path: str,
    body: object = None,
    *,
    timeout: aiohttp.ClientTimeout,
    limit: int = MAX_ANSWER,
) -> Answer:
    """The answer to one call; a 401 drops the token it was given for. Raises TokenUnavailable and CallFailed."""
    tokens = bots.graph_tokens(bot, tenant)
    header = await tokens.header()
    answer = await call(
        bots.session,
        method,
        f"{bots.endpoints.graph}/v1.0/{path}",
        headers={"Authorization": header, "Content-Type": "application/json", "Accept": "application/json"},
        data=None if body is None else orjson.dumps(body),
        timeout=timeout,
        limit=limit,
    )
    if answer.status == 401:
        tokens.expire(header)
    return answer


def found(answer: Answer) -> dict[str, Any] | None:
    """The JSON object of a 200 that came whole; None: nothing that can be read."""
    if answer.status != 200 or not answer.whole:
        return None
    try:
        parsed = orjson.loads(answer.body)
    except ValueError:
        return None
    return parsed if isinstance(parsed, dict) else None
