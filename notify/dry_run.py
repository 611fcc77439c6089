"""What a send call would come to, for the whole audience, at once: nothing is sent, stored or asked.

Also what stands behind the explanation of one person; there a look-up may be asked for first.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from adapters.base import ENTRY, ChannelName, Lane, TenantId
from notify import forecast
from notify.forecast import Traffic, Work
from notify.identities import INVALID, comparable
from notify.lookups import LookUps
from notify.prospects import Prospect, Prospects, Question, Side, Standing

LOOK_UP_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """An audience as it stands: one prospect for each identity, and how long sending would take."""

    question: Question
    prospects: Sequence[Prospect]
    seconds: float
    counts: Mapping[Standing, int]


class DryRun:
    """Rehearses send calls and explains single people. `traffic` is what a lane in this process does now."""

    def __init__(
        self,
        prospects: Prospects,
        look_ups: LookUps,
        sides: Mapping[ChannelName, Side],
        traffic: Callable[[Lane], Traffic | None],
    ) -> None:
        self._prospects = prospects
        self._look_ups = look_ups
        self._sides = sides
        self._traffic = traffic

    async def rehearse(self, question: Question, caller: str) -> Rehearsal:
        """How a send call with this audience would go. Raises NotInstalled."""
        prospects = await self._prospects.read(question)
        people = [each for each in prospects if each.same_as is None]
        lanes: defaultdict[TenantId, list[Prospect]] = defaultdict(list)
        for each in people:
            lanes[each.tenant or ENTRY].append(each)
        seconds = [await self._seconds(question, caller, tenant, each) for tenant, each in lanes.items()]
        counts = Counter(each.standing for each in prospects)
        return Rehearsal(question, prospects, max(seconds, default=0.0), counts)

    async def _seconds(self, question: Question, caller: str, tenant: TenantId, people: Sequence[Prospect]) -> float:
        side, stands = self._sides[question.channel], Counter(each.standing for each in people)
        lane = Lane(question.bot, question.channel, tenant)
        unknown = stands[Standing.NOT_LOOKED_UP]
        wanted = len(people) - stands[Standing.UNREACHABLE]
        opened = stands[Standing.IF_INSTALLED] + (unknown if side.pace.opens else 0)
        work = Work(
            caller,
            people=wanted,
            openings=opened,
            installs=stands[Standing.WILL_BE_INSTALLED],
            look_ups=await side.resolver.seconds(lane, unknown) if unknown else 0.0,
        )
        return forecast.seconds(work, side.pace, self._traffic(lane))

    async def explain(self, question: Question, *, look_up: bool) -> Prospect:
        """How one person stands, with `look_up` after the platform was asked. Raises NotInstalled."""
        (prospect,) = await self._prospects.read(question)
        if not look_up or question.identity_type != "resolve" or prospect.reason == INVALID:
            return prospect
        tenants = await self._prospects.tenants(question)
        if not tenants.installed:
            return prospect
        lane = tenants.lane(question.tenant)
        asked = list(tenants.installed) if lane.is_entry else [lane.tenant]
        email = comparable(question.identity_type, question.identities[0])
        answers = await self._look_ups.ask(lane, asked, email, LOOK_UP_SECONDS)
        (prospect,) = await self._prospects.read(question)
        return prospect if prospect.standing is not Standing.NOT_LOOKED_UP else _unanswered(prospect, answers)


def _unanswered(prospect: Prospect, answers: Mapping[TenantId, Mapping[str, Any] | None]) -> Prospect:
    """Why nothing is known although the platform was asked: its own refusal, what stood in the way, or no time."""
    said = [answer for answer in answers.values() if answer]
    nobody = next((answer for answer in said if "nobody" in answer), None)
    if nobody is not None and len(said) == len(answers):
        return replace(
            prospect, standing=Standing.UNREACHABLE, reason=nobody["nobody"], remedy=nobody["remedy"] or None
        )
    trouble = next((answer for answer in said if "reason" in answer), None)
    if trouble is not None:
        return replace(prospect, reason=trouble["reason"], remedy=trouble["remedy"] or None, code=trouble["code"])
    return replace(prospect, remedy=f"No answer within {LOOK_UP_SECONDS:.0f} seconds: ask again.")
