"""Looks one person up for somebody who waits for the answer, through the lane that may ask the platform.

Handlers of calls never ask a platform themselves: they leave a chore in the lane, and whichever process drains it does
the chore before all others and writes the answer into it. What was learned is in the directory like after any look-up.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any, Final, assert_never

from sqlalchemy.ext.asyncio import AsyncConnection

from adapters.base import (
    Address,
    Chore,
    ChoreDone,
    ChoreLater,
    ChoreOutcome,
    Fault,
    FaultClass,
    Gate,
    Lane,
    TenantId,
    TraceStep,
)
from identity.answers import Found, Later, Missing, Resolution
from identity.resolver import Resolver
from notify.trace import stored
from storage import chores
from storage.engine import Database

KIND: Final = "identity.look_up"
FIRST: Final = 0.0  # due before everything else
WAIT_SECONDS: Final = 10.0  # so long somebody waits for answers
KEPT_SECONDS: Final = 60.0  # an answer that nobody fetched
LOOK_SECONDS: Final = 0.1


class LookUpChore:
    """Does the chores of kind `identity.look_up`."""

    def __init__(self, resolver: Resolver, *, seconds: float = WAIT_SECONDS) -> None:
        self._resolver = resolver
        self._seconds = seconds

    async def __call__(self, chore: Chore, gate: Gate) -> ChoreOutcome:
        """Ask once, while somebody can be waiting; an answer that was not fetched is thrown away."""
        if "answer" in chore.detail:
            return ChoreDone()
        email = str(chore.detail["email"])
        found: Resolution | None = None
        try:
            async with asyncio.timeout(self._seconds):
                async for answers in self._resolver.look_up(chore.lane, [email], gate):
                    found = answers[email]
        except TimeoutError:
            return ChoreDone("nobody waits for it any more")
        if found is None:
            return ChoreDone("the platform was not asked")
        return ChoreLater(KEPT_SECONDS, detail={"email": email, "answer": as_json(found)})


class LookUps:
    """Leaves the chores and waits for their answers."""

    def __init__(self, database: Database, *, wake: Callable[[Lane], None], clock: Callable[[], float]) -> None:
        self._database = database
        self._wake = wake
        self._now = clock

    def until(self) -> float:
        """When somebody who begins to wait now stops waiting."""
        return self._now() + WAIT_SECONDS

    def is_past(self, moment: float) -> bool:
        """Whether nobody waits any more."""
        return self._now() >= moment

    async def ask(
        self, lane: Lane, tenants: Iterable[TenantId], email: str, until: float
    ) -> dict[TenantId, Resolution | None]:
        """What look-ups in these tenants came to; None: no answer until then."""
        key = secrets.token_hex(16)
        lanes = [replace(lane, tenant=tenant) for tenant in tenants]
        async with self._database.write() as tx:
            for each in lanes:
                await chores.add(tx, **_of(each), kind=KIND, key=key, detail={"email": email}, at=FIRST)
        for each in lanes:
            self._wake(each)
        try:
            found = await self._wait(lanes, key, until)
        finally:
            async with self._database.write() as tx:
                for each in lanes:
                    await chores.withdraw(tx, **_of(each), kind=KIND, key=key)
        return {each.tenant: found.get(each.tenant) for each in lanes}

    async def _wait(self, lanes: Sequence[Lane], key: str, until: float) -> Mapping[TenantId, Resolution]:
        """All are wanted, so the first that is missing is looked for, and the next once it is there."""
        found: dict[TenantId, Resolution] = {}
        waiting = list(lanes)
        while waiting and not self.is_past(until):
            await asyncio.sleep(LOOK_SECONDS)
            async with self._database.read() as tx:
                while waiting and (answer := await _answer(tx, waiting[0], key)) is not None:
                    found[waiting.pop(0).tenant] = answer
        async with self._database.read() as tx:
            for each in waiting[1:]:  # who answered behind one that did not
                if (answer := await _answer(tx, each, key)) is not None:
                    found[each.tenant] = answer
        return found


async def _answer(tx: AsyncConnection, lane: Lane, key: str) -> Resolution | None:
    detail = await chores.detail(tx, **_of(lane), kind=KIND, key=key)
    return None if detail is None or "answer" not in detail else read(detail["answer"])


def _of(lane: Lane) -> dict[str, str]:
    return {"bot_id": lane.bot, "channel": str(lane.channel), "tenant_id": lane.tenant}


# ── as it is stored ─────────────────────────────────────────────────────────────────────────────────────────
def as_json(resolution: Resolution) -> dict[str, Any]:
    """A resolution as the chore holds it."""
    trace = [stored(step) for step in resolution.trace]
    match resolution:
        case Found(address, _, talked_at, guest):
            return {"found": asdict(address), "trace": trace, "talked_at": talked_at, "guest": guest}
        case Missing(reason, remedy):
            return {"missing": reason, "trace": trace, "remedy": remedy}
        case Later(retry_after, fault):
            said = {"klass": fault.klass, "reason": fault.reason, "remedy": fault.remedy, "code": fault.code}
            return {"later": said, "trace": trace, "retry_after": retry_after}
        case _:
            assert_never(resolution)


def read(value: Mapping[str, Any]) -> Resolution:
    """The resolution that a chore holds."""
    trace = tuple(TraceStep(**step) for step in value["trace"])
    if "found" in value:
        return Found(Address(**value["found"]), trace, value["talked_at"], value["guest"])
    if "missing" in value:
        return Missing(value["missing"], value["remedy"], trace)
    fault = value["later"]
    return Later(value["retry_after"], Fault(**{**fault, "klass": FaultClass(fault["klass"])}), trace)
