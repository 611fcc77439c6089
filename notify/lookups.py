"""Looks one person up for somebody who waits for the answer, through the lane that may ask the platform.

Handlers of calls never ask a platform themselves: they leave a chore in the lane, and whichever process drains it does
the chore before all others and writes the answer into it. What was learned is in the directory like after any look-up.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, Final, assert_never

from adapters.base import Chore, ChoreDone, ChoreLater, ChoreOutcome, Gate, Lane, TenantId
from identity.answers import Found, Later, Missing, Resolution
from identity.resolver import Resolver
from storage import chores
from storage.engine import Database

KIND: Final = "identity.look_up"
FIRST: Final = 0.0  # due before everything else
KEPT_SECONDS: Final = 60.0  # an answer that nobody fetched
LOOK_SECONDS: Final = 0.1


class LookUpChore:
    """Does the chores of kind `identity.look_up`."""

    def __init__(self, resolver: Resolver) -> None:
        self._resolver = resolver

    async def __call__(self, chore: Chore, gate: Gate) -> ChoreOutcome:
        """Ask once; an answer that was not fetched is thrown away."""
        if "answer" in chore.detail:
            return ChoreDone()
        email = str(chore.detail["email"])
        answer: Mapping[str, str] = {}
        async for answers in self._resolver.look_up(chore.lane, [email], gate):
            answer = _as_json(answers[email])
        return ChoreLater(KEPT_SECONDS, detail={"email": email, "answer": answer})


class LookUps:
    """Leaves the chores and waits for their answers."""

    def __init__(self, database: Database, *, wake: Callable[[Lane], None], clock: Callable[[], float]) -> None:
        self._database = database
        self._wake = wake
        self._now = clock

    async def ask(
        self, lane: Lane, tenants: Iterable[TenantId], email: str, seconds: float
    ) -> dict[TenantId, Mapping[str, str] | None]:
        """What look-ups in these tenants came to; None: no answer within so many seconds.

        {} found; `nobody` (the reason) and `remedy`; or `reason`, `remedy` and `code` of what stood in the way.
        """
        key = secrets.token_hex(16)
        lanes = [replace(lane, tenant=tenant) for tenant in tenants]
        async with self._database.write() as tx:
            for each in lanes:
                await chores.add(tx, **_of(each), kind=KIND, key=key, detail={"email": email}, at=FIRST)
        for each in lanes:
            self._wake(each)
        try:
            found = await asyncio.gather(*(self._wait(each, key, seconds) for each in lanes))
        finally:
            async with self._database.write() as tx:
                for each in lanes:
                    await chores.withdraw(tx, **_of(each), kind=KIND, key=key)
        return dict(zip((each.tenant for each in lanes), found, strict=True))

    async def _wait(self, lane: Lane, key: str, seconds: float) -> Mapping[str, str] | None:
        until = self._now() + seconds
        while self._now() < until:
            await asyncio.sleep(LOOK_SECONDS)
            async with self._database.read() as tx:
                detail = await chores.detail(tx, **_of(lane), kind=KIND, key=key)
            if detail is not None and "answer" in detail:
                answer: Mapping[str, str] = detail["answer"]
                return answer
        return None


def _of(lane: Lane) -> dict[str, str]:
    return {"bot_id": lane.bot, "channel": str(lane.channel), "tenant_id": lane.tenant}


def _as_json(resolution: Resolution) -> dict[str, Any]:
    match resolution:
        case Found():
            return {}
        case Missing(reason, remedy):
            return {"nobody": reason, "remedy": remedy}
        case Later(_, fault):
            return {"reason": fault.reason, "remedy": fault.remedy, "code": fault.code}
        case _:
            assert_never(resolution)
