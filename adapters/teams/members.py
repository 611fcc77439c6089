"""The chore after an install: one members call teaches a person's e-mail, without any Graph permission.

It comes again before the week is over for which an e-mail is believed: addresses pass from one person to another, and
Teams sends no event about it.

`GET /v3/conversations/{id}/members/{id}` answers `email`, `userPrincipalName` and the object id
(msteams-docs `bots/how-to/get-teams-context.md`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

import orjson
from sqlalchemy.ext.asyncio import AsyncConnection

from adapters.base import ChannelName, Chore, ChoreDone, ChoreLater, ChoreOutcome, Fault, FaultClass, Gate
from adapters.http import Answer, CallFailed, parse_retry_after
from adapters.ids import MAX_EMAIL, MAX_NAME, readable, words
from adapters.teams import faults
from adapters.teams.bots import TeamsBots
from adapters.teams.connector import Answered, ServiceUrlRefused, result_of
from adapters.teams.limits import SEND_BUCKET
from adapters.teams.tokens import TokenUnavailable
from storage import directory, references
from storage.directory import Person
from storage.engine import Database

CHANNEL: Final = ChannelName.MSTEAMS.value
MAX_TRIES: Final = 8
FIRST_WAIT: Final = 5.0
LONGEST_WAIT: Final = 3600.0
AGAIN_SECONDS: Final = 6 * 24 * 3600.0

NormalForm = Callable[[str], str | None]
"""An e-mail in the directory's normal form; what is no e-mail may come back as it is, or as None."""


class MemberChore:
    """Does the chores of kind `teams.member`."""

    def __init__(
        self,
        bots: TeamsBots,
        database: Database,
        *,
        normal_form: NormalForm,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._bots = bots
        self._database = database
        self._normal_form = normal_form
        self._now = now

    async def __call__(self, chore: Chore, gate: Gate) -> ChoreOutcome:
        """Ask once for the person; what cannot be asked now is asked again later."""
        conversation_id, user_id = str(chore.detail["conversation_id"]), str(chore.detail["user_id"])
        known = self._bots.get(chore.lane.bot)
        try:
            client = await known.pool.create(str(chore.detail["service_url"]), self._bots.endpoints.bot_issuer)
        except ServiceUrlRefused:
            return ChoreDone("service url not allowed")
        await gate.enter(SEND_BUCKET)
        try:
            raw = await result_of(client.conversations.get_conversation_member(conversation_id, user_id, raw=True))
        except TokenUnavailable as error:
            return ChoreLater(_wait(chore, None), error.fault)
        except CallFailed as error:
            return ChoreLater(_wait(chore, None), replace(faults.UNREACHABLE, code=error.code))
        except Answered as error:
            return self._refused(chore, error.answer, gate)
        return await self._learn(chore, raw.response.content)

    def _refused(self, chore: Chore, answer: Answer, gate: Gate) -> ChoreOutcome:
        fault = faults.classify(answer.status, answer.headers, answer.body)
        moment = datetime.fromtimestamp(self._now(), UTC)
        pause = parse_retry_after(answer.headers.get("Retry-After"), moment)
        if answer.status == 429:
            gate.throttled(SEND_BUCKET, pause)
        if fault.klass is FaultClass.REFUSED:
            return ChoreDone(fault.reason)
        return _again(chore, fault, pause)

    async def _learn(self, chore: Chore, body: bytes) -> ChoreOutcome:
        member = _member(body)
        if member is None:
            return _again(chore, faults.NO_CLEAR_ANSWER, None)
        stored_as = str(chore.detail["user_id"])
        object_id = member.get("aadObjectId") or member.get("objectId")
        user_id = readable(object_id) or stored_as
        async with self._database.write() as tx:
            if user_id != stored_as:
                await self._rename(tx, chore, stored_as, user_id)
            await directory.learn(
                tx,
                bot_id=chore.lane.bot,
                channel=CHANNEL,
                tenant_id=chore.lane.tenant,
                persons=[self._person(user_id, member)],
                source="install",
                now=self._now(),
            )
        return ChoreLater(AGAIN_SECONDS)

    def _person(self, user_id: str, member: Mapping[str, Any]) -> Person:
        principal = str(member.get("userPrincipalName") or "")
        guest = "#ext#" in principal.lower() or str(member.get("userRole", "")).lower() == "guest"
        addresses = (self._normal_form(str(member.get(field) or "")) for field in ("email", "userPrincipalName"))
        forms = (readable(form, MAX_EMAIL) for form in addresses)
        return Person(
            user_id=user_id,
            emails=tuple(dict.fromkeys(form for form in forms if form is not None and "@" in form)),
            name=words(member.get("name"), MAX_NAME),
            kind="guest" if guest else "member",
        )

    async def _rename(self, tx: AsyncConnection, chore: Chore, stored_as: str, user_id: str) -> None:
        """The event did not name the object id: keep the reference under it too, where the directory looks."""
        lane = chore.lane
        found = await references.find(tx, bot_id=lane.bot, channel=CHANNEL, tenant_id=lane.tenant, persons=[stored_as])
        reference, active = found.get(stored_as, (None, False))
        if reference is not None and active and reference.user_id == stored_as:
            await references.capture(tx, replace(reference, user_id=user_id), self._now())


def _member(body: bytes) -> Mapping[str, Any] | None:
    try:
        parsed = orjson.loads(body)
    except ValueError:
        return None
    return parsed if isinstance(parsed, dict) and isinstance(parsed.get("id"), str) else None


def _wait(chore: Chore, pause: float | None) -> float:
    return max(pause or 0.0, min(FIRST_WAIT * 2.0**chore.attempts, LONGEST_WAIT))


def _again(chore: Chore, fault: Fault, pause: float | None) -> ChoreOutcome:
    """Later with backoff, and after many tries much later; what belongs to the lane or to a pause does not count."""
    counts = fault.costs_attempt
    if counts and chore.attempts + 1 >= MAX_TRIES:
        return ChoreLater(AGAIN_SECONDS)
    return ChoreLater(_wait(chore, pause), fault)
