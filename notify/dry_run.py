"""What a send call would come to, for the whole audience, at once: nothing is sent, stored or asked.

Also what stands behind the explanation of one person; there a look-up may be asked for first.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, assert_never

from adapters.base import ENTRY, ChannelName, Lane, TenantId
from identity.answers import Resolution
from notify import forecast
from notify.disclosures import Disclosures
from notify.forecast import Traffic, Work
from notify.identities import comparable
from notify.lookups import LookUps
from notify.notes import Notes
from notify.personal import NotYet, Personal, Ready, Unready
from notify.prospects import ASK_AGAIN, Prospect, Prospects, Question, Side, Standing
from notify.records import PausedLane
from notify.script.results import Why

UNTRIED: Final = "its script was not run: a rehearsal has ten seconds for everybody together"


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """An audience as it stands: one prospect for each identity, and how long sending would take.

    None: until somebody has seen to the `paused` lanes, which nobody can foresee.
    """

    question: Question
    prospects: Sequence[Prospect]
    seconds: float | None
    counts: Mapping[Standing, int]
    paused: Sequence[PausedLane] = ()


@dataclass(frozen=True, slots=True)
class Outlook:
    """One person as they stand, and the lanes that would hold a message to them."""

    prospect: Prospect
    paused: Sequence[PausedLane] = ()


class DryRun:
    """Rehearses send calls and explains single people. `traffic` is what a lane in this process does now."""

    def __init__(
        self,
        prospects: Prospects,
        look_ups: LookUps,
        sides: Mapping[ChannelName, Side],
        traffic: Callable[[Lane], Traffic | None],
        disclosures: Disclosures,
    ) -> None:
        self._prospects = prospects
        self._look_ups = look_ups
        self._sides = sides
        self._traffic = traffic
        self._disclosures = disclosures

    async def rehearse(self, question: Question, caller: str, rendered: Sequence[Personal]) -> Rehearsal:
        """How a send call with this audience would go; `rendered` is each identity's message. Raises NotInstalled."""
        read = await self._prospects.read(question)
        prospects = [_told(prospect, message) for prospect, message in zip(read, rendered, strict=True)]
        people = [each for each in prospects if each.same_as is None]
        lanes: defaultdict[TenantId, list[Prospect]] = defaultdict(list)
        for each in people:
            lanes[each.tenant or ENTRY].append(each)
        seconds = [await self._seconds(question, caller, tenant, each) for tenant, each in lanes.items()]
        counts = Counter(each.standing for each in prospects)
        paused = await self._prospects.paused(question, people)
        return Rehearsal(question, prospects, None if paused else max(seconds, default=0.0), counts, paused)

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

    async def explain(self, question: Question, caller: str, *, look_up: bool) -> Outlook:
        """How one person stands, with `look_up` after the platform was asked. Raises NotInstalled."""
        await self._disclosures.record(question, caller, look_up=look_up)
        prospect = await self._explain(question, look_up=look_up)
        return Outlook(prospect, await self._prospects.paused(question, [prospect]))

    async def _explain(self, question: Question, *, look_up: bool) -> Prospect:
        if not look_up:
            (prospect,) = await self._prospects.read(question)
            return prospect
        until, asked = self._look_ups.until(), dict[TenantId, Resolution | None]()
        email = comparable(question.identity_type, question.identities[0])
        (prospect,) = await self._prospects.read(question, asked)
        while prospect.ask and not self._look_ups.is_past(until):
            lane = Lane(question.bot, question.channel, ENTRY)
            asked |= await self._look_ups.ask(lane, prospect.ask, email, until)
            (prospect,) = await self._prospects.read(question, asked)
        return replace(prospect, remedy=ASK_AGAIN) if prospect.ask else prospect


def _told(prospect: Prospect, message: Personal) -> Prospect:
    """A person for whom there is no message cannot be reached, however well they are known."""
    match message:
        case Ready(_, notes):
            return replace(prospect, notes=notes)
        case Unready(code=Why.BUDGET):
            return replace(prospect, notes=Notes((UNTRIED,)))
        case Unready(reason, code, says, notes):
            if prospect.standing is Standing.UNREACHABLE:
                return replace(prospect, notes=notes)
            return replace(
                prospect, standing=Standing.UNREACHABLE, reason=reason, code=code, remedy=says, notes=notes, ask=()
            )
        case NotYet(reason, says):
            return replace(prospect, reason=reason, remedy=says)
        case _:
            assert_never(message)
