"""How people would be reached, by what is stored now: nobody is asked, nothing is sent, nothing changes.

    stored and reachable              reachable
    stored, without the app           will be installed, or reachable if installed
    known not to be reachable         unreachable, with the reason
    anything else                     not looked up yet

The same rules decide as for a real delivery: `identities` about what can be nobody, the resolver about what is stored,
`plan` about several tenants. Where the platform was asked about somebody, its answers go before what is stored.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final, assert_never

from adapters.base import ENTRY, BotId, ChannelName, ChannelPace, Fault, FaultClass, Lane, TenantId, TraceStep
from identity.answers import Found, Later, Missing, Resolution
from identity.placement import Placement
from identity.resolver import Resolver
from notify import plan as plans
from notify.held import held_lanes
from notify.identities import INVALID, comparable, identity_problem, is_object_id
from notify.lookups import WAIT_SECONDS
from notify.notes import NO_NOTES, Notes
from notify.plan import Between, Go, Nowhere, Plan, Sighting, Stay
from notify.records import PausedLane
from notify.tenants import Tenants
from notify.texts import INSTALL, REASONS
from notify.trace import Trace
from storage.engine import Database

NOT_ASKED: Final = TraceStep("look-up", "not looked up yet")
NO_ANSWER: Final = TraceStep("look-up", f"no answer within {WAIT_SECONDS:.0f} seconds")
ASK_AGAIN: Final = f"No answer within {WAIT_SECONDS:.0f} seconds: ask again."
AS_GIVEN: Final = TraceStep("caller", "not checked: used as given")

Asked = Mapping[TenantId, Resolution | None]
"""What look-ups of one person came to; None: no answer in time."""


class Standing(StrEnum):
    """How a person stands before anything is sent; the values are shown."""

    REACHABLE = "reachable"
    WILL_BE_INSTALLED = "will_be_installed"
    IF_INSTALLED = "reachable_if_installed"
    UNREACHABLE = "unreachable"
    NOT_LOOKED_UP = "not_looked_up"


@dataclass(frozen=True, slots=True)
class Prospect:
    """One identity of an audience; `same_as` is the place of an earlier one that is the same.

    `unseen`: a user id that nobody has checked. `ask` are the tenants that a delivery would ask next, all of them.
    """

    original: str
    standing: Standing
    trace: tuple[TraceStep, ...] = ()
    reason: str | None = None
    remedy: str | None = None
    code: str | None = None
    tenant: TenantId | None = None
    channel_id: str | None = None
    same_as: int | None = None
    unseen: bool = False
    ask: tuple[TenantId, ...] = ()
    notes: Notes = NO_NOTES


@dataclass(frozen=True, slots=True)
class Question:
    """Whom to look for: as in a send call."""

    bot: BotId
    channel: ChannelName
    identity_type: str
    identities: Sequence[str]
    tenant: str | None = None


@dataclass(frozen=True, slots=True)
class Side:
    """What a channel brings: how people are found, and its pace."""

    resolver: Resolver
    pace: ChannelPace


class Prospects:
    """Reads how people stand."""

    def __init__(self, database: Database, sides: Mapping[ChannelName, Side]) -> None:
        self._database = database
        self._sides = sides

    async def tenants(self, question: Question) -> Tenants:
        """Where the bot is installed."""
        async with self._database.read() as tx:
            return await Tenants.read(tx, question.bot, question.channel)

    async def paused(self, question: Question, prospects: Iterable[Prospect]) -> list[PausedLane]:
        """The lanes that hold up a message to these people."""
        able = [each for each in prospects if each.standing is not Standing.UNREACHABLE]
        needed = {tenant for each in able for tenant in (each.tenant or ENTRY, *each.ask)}
        async with self._database.read() as tx:
            return [lane for lane in await held_lanes(tx, question.bot, question.channel) if lane.tenant_id in needed]

    async def read(self, question: Question, asked: Asked | None = None) -> list[Prospect]:
        """One prospect for each identity, in their order. Raises NotInstalled for a named tenant without the app.

        With `asked` only tenants that were asked count, and who could not answer is replaced by what is stored.
        """
        tenants = await self.tenants(question)
        lane = tenants.lane(question.tenant)
        forms = [comparable(question.identity_type, original) for original in question.identities]
        first: dict[str, int] = {}
        for index, form in enumerate(forms):
            first.setdefault(form, index)
        found = await self._stand(question, lane, tenants, list(first), asked)
        answers = []
        for index, (original, form) in enumerate(zip(question.identities, forms, strict=True)):
            same = first[form] if first[form] != index else None
            answers.append(replace(found[form], original=original, same_as=same))
        return answers

    async def _stand(
        self, question: Question, lane: Lane, tenants: Tenants, forms: Sequence[str], answers: Asked | None
    ) -> dict[str, Prospect]:
        stand: dict[str, Prospect] = {}
        for form in forms:
            problem = identity_problem(question.channel, question.identity_type, form)
            if problem is not None:
                stand[form] = _refused(INVALID, problem, ())
        asked = [form for form in forms if form not in stand]
        if not tenants.installed:
            waiting = Prospect("", Standing.NOT_LOOKED_UP, (NOT_ASKED,), "installation_missing")
            return stand | dict.fromkeys(asked, waiting)
        side = self._sides[question.channel]
        if question.identity_type != "resolve":
            return stand | await self._by_id(side, lane, asked)
        places = await self._places(side, lane, asked)
        stored = {
            tenant: await side.resolver.foreseen(replace(lane, tenant=tenant), asked)
            for tenant in dict.fromkeys(tenant for place in places.values() for tenant in place.tenants)
        }
        for form in asked:
            said = {tenant: known[form] for tenant, known in stored.items() if form in known}
            heard = said if answers is None else {each: _heard(answers[each], said.get(each)) for each in answers}
            stand[form] = _Walk(lane, side, tenants, heard).follow(places[form])
        return stand

    async def _places(self, side: Side, lane: Lane, forms: Sequence[str]) -> Mapping[str, Placement]:
        if lane.is_entry:
            return await side.resolver.choose_tenant(lane, forms)
        return dict.fromkeys(forms, Placement((lane.tenant,), ()))

    async def _by_id(self, side: Side, lane: Lane, ids: Sequence[str]) -> dict[str, Prospect]:
        """A channel user id is used as it is; where it is known, so is its tenant."""
        places = await side.resolver.tenants_of_ids(lane, ids) if lane.is_entry else {}
        by_tenant: defaultdict[TenantId, list[str]] = defaultdict(list)
        for user_id in ids:
            by_tenant[places[user_id].tenants[0] if lane.is_entry else lane.tenant].append(user_id)
        found = {}
        for tenant, of_tenant in by_tenant.items():
            there = replace(lane, tenant=tenant)
            for user_id, known in (await side.resolver.known_ids(there, of_tenant)).items():
                found[user_id] = _by_id(there, side, known)
        return found


@dataclass(slots=True)
class _Walk:
    """One person's way from tenant to tenant, as a delivery would go it."""

    lane: Lane
    side: Side
    tenants: Tenants
    heard: Asked

    def follow(self, place: Placement) -> Prospect:
        """Where the way ends. A tenant that has not said anything about the person ends it."""
        tenant, *rest = place.tenants
        plan = Plan(tuple(rest), home=place.home, sure=place.sure) if rest else None
        trace = Trace(place.trace)
        while True:  # each move leaves one tenant less to ask; the last is to the chosen one, where the way ends
            here = tenant if rest else ""
            resolution = self.heard.get(tenant)
            if resolution is None:
                trace.append(replace(NO_ANSWER if tenant in self.heard else NOT_ASKED, tenant=here))
                return self._unknown(tenant, plan, trace)
            trace.extend(replace(step, tenant=here) for step in resolution.trace)
            step = self._next(resolution, tenant, plan, trace)
            if isinstance(step, Prospect):
                return step
            tenant, plan = step.to, step.plan

    def _unknown(self, tenant: TenantId, plan: Plan | None, trace: Trace) -> Prospect:
        if tenant in self.heard:
            return Prospect("", Standing.NOT_LOOKED_UP, tuple(trace), remedy=ASK_AGAIN, tenant=tenant)
        return Prospect("", Standing.NOT_LOOKED_UP, tuple(trace), tenant=tenant, ask=self._to_ask(tenant, plan))

    def _to_ask(self, tenant: TenantId, plan: Plan | None) -> tuple[TenantId, ...]:
        """The tenants that are asked whatever each of them says: up to the home tenant, one of each organisation."""
        wanted = [tenant]
        if plan is None or plan.sure or tenant == plan.home:
            return tuple(wanted)
        for each in plan.ask:
            if each not in self.heard and self.tenants.kin(each).isdisjoint(wanted):
                wanted.append(each)
            if each == plan.home:
                break
        return tuple(wanted)

    def _next(self, resolution: Resolution, tenant: TenantId, plan: Plan | None, trace: Trace) -> Prospect | Go:
        """The end of the way, or the tenant to ask next."""
        step: Go | Between | Nowhere
        match resolution:
            case Later(_, fault):
                passed = None if plan is None else _passed(plan, tenant, fault)
                if passed is None:
                    return _failed(fault, trace, tenant)
                step, remedy = passed, ""
            case Found():
                here = Sighting(tenant, resolution.talked_at, resolution.guest)
                after = Stay() if plan is None else plans.found(plan, here, self.tenants.kin(tenant))
                if isinstance(after, Stay):
                    return _reached(replace(self.lane, tenant=tenant), self.side, resolution, trace)
                step, remedy = after, ""
            case Missing(reason, remedy):
                if plan is None or reason not in plans.NOT_HERE:
                    return _refused(reason, remedy, trace, tenant)
                step = plans.missing(plan, reason)
            case _:
                assert_never(resolution)
        match step:
            case Go():
                return step
            case Between(several):
                return _refused("person_ambiguous", self.tenants.choice(several), trace)
            case Nowhere(reason):
                return _refused(reason, remedy, trace, tenant)
            case _:
                assert_never(step)


def _heard(answer: Resolution | None, known: Resolution | None) -> Resolution | None:
    """What a look-up came to; where it failed, a delivery goes by what is stored, and the trace says of both."""
    if known is None or isinstance(answer, Found | Missing):
        return answer
    failed = (NO_ANSWER,) if answer is None else answer.trace
    return replace(known, trace=(*failed, *known.trace))


def _passed(plan: Plan, tenant: TenantId, fault: Fault) -> Go | Between | Nowhere | None:
    """Where a delivery goes on that does not wait for a tenant's look-ups to be healed; None: it waits."""
    if fault.klass is not FaultClass.CONFIGURATION:
        return None
    step = plans.at_fault(plan, tenant)
    return None if isinstance(step, Go) and step.later else step


def _failed(fault: Fault, trace: Iterable[TraceStep], tenant: TenantId) -> Prospect:
    remedy, code = fault.remedy or None, fault.code or None
    return Prospect("", Standing.NOT_LOOKED_UP, tuple(trace), fault.reason, remedy, code, tenant)


def _by_id(lane: Lane, side: Side, found: Found) -> Prospect:
    unseen = all(step.source != "reference" for step in found.trace)
    prospect = _reached(lane, side, found, (*found.trace, AS_GIVEN) if unseen else found.trace)
    return replace(prospect, unseen=unseen)


def _reached(lane: Lane, side: Side, resolution: Found, trace: Iterable[TraceStep]) -> Prospect:
    """Somebody whom a delivery would be sent to, as far as is known."""
    address = resolution.address
    standing = Standing.REACHABLE
    if side.pace.opens and address.conversation_id is None:
        installs = side.resolver.installs(lane.bot) and is_object_id(address.user_id)
        standing = Standing.WILL_BE_INSTALLED if installs else Standing.IF_INSTALLED
    remedy = INSTALL if standing is Standing.IF_INSTALLED else None
    return Prospect("", standing, tuple(trace), None, remedy, tenant=lane.tenant, channel_id=address.channel_id)


def _refused(reason: str, remedy: str, trace: Iterable[TraceStep], tenant: TenantId | None = None) -> Prospect:
    known = REASONS.get(reason)
    told = remedy or (known.remedy if known else "")
    return Prospect("", Standing.UNREACHABLE, tuple(trace), reason, told, tenant=tenant)
