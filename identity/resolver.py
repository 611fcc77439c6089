"""From an identity to an address, in two steps: what is stored, then the platform's own look-up.

`known` answers at once from the database (conversation references, directory, remembered misses); `look_up` asks the
platform through the lane's gate and stores what it learns. In a bot's entry lane only `choose_tenant` runs: it says
in which tenant a person is known, or in which order the tenants should be asked.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass

from adapters.base import Address, Gate, Lane, TenantId, TraceStep
from identity.answers import Found, Later, LookupFailed, Missing, NoPerson, PeopleSource, Resolution
from storage import directory, installations, references
from storage.directory import KnownPerson, Miss, Person
from storage.engine import Database

FRESH_SECONDS = 7 * 24 * 3600.0  # a stored person is asked for again after a week
MISS_SECONDS = 15 * 60.0  # an unknown e-mail is asked for again after a quarter of an hour


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a delivery of the entry lane goes: the tenants to ask, best first; empty: nobody can be asked."""

    tenants: tuple[TenantId, ...]
    trace: tuple[TraceStep, ...]


class Resolver:
    """Resolves identities for one channel."""

    def __init__(self, database: Database, source: PeopleSource, *, clock: Callable[[], float]) -> None:
        self._database = database
        self._source = source
        self._now = clock

    async def known(self, lane: Lane, addresses: Sequence[str]) -> dict[str, Resolution]:
        """What is stored about these normal-form e-mails; an address that is absent must be looked up."""
        now = self._now()
        async with self._database.read() as tx:
            people = await directory.lookup(
                tx, bot_id=lane.bot, channel=lane.channel, tenant_id=lane.tenant, addresses=addresses
            )
            misses = await directory.find_misses(
                tx, bot_id=lane.bot, channel=lane.channel, tenant_id=lane.tenant, addresses=addresses, now=now
            )
        found: dict[str, Resolution] = {miss.email: _from_miss(miss, now) for miss in misses}
        grouped: dict[str, list[KnownPerson]] = defaultdict(list)
        for person in people:
            grouped[person.email].append(person)
        for email, candidates in grouped.items():
            resolution = _from_known(candidates, now)
            if resolution is not None:
                found[email] = resolution
        return found

    async def known_ids(self, lane: Lane, user_ids: Sequence[str]) -> dict[str, Found]:
        """The addresses of channel user ids that the caller gave (`donotresolve`); no directory call is made."""
        async with self._database.read() as tx:
            stored = await references.find(
                tx, bot_id=lane.bot, channel=lane.channel, tenant_id=lane.tenant, persons=user_ids
            )
        return {user_id: self._from_id(lane, user_id, stored.get(user_id)) for user_id in user_ids}

    def _from_id(self, lane: Lane, user_id: str, stored: tuple[references.Reference, bool] | None) -> Found:
        trace = (TraceStep("caller", "channel user id"),)
        if stored is None or not stored[1]:
            return Found(Address(lane.tenant, user_id, user_id), trace)
        reference = stored[0]
        step = TraceStep("reference", "found", max(0.0, self._now() - reference.learned_at))
        address = Address(lane.tenant, user_id, user_id, reference.conversation_id, reference.service_url)
        return Found(address, (*trace, step))

    async def look_up(
        self, lane: Lane, addresses: Sequence[str], gate: Gate
    ) -> AsyncIterator[Mapping[str, Resolution]]:
        """Ask the platform; store what it says; answers come as they are known, each address once."""
        async for answers in self._source.find(lane.bot, lane.tenant, addresses, gate):
            yield await self._learn(lane, answers)

    async def choose_tenant(self, lane: Lane, addresses: Sequence[str]) -> dict[str, Placement]:
        """For the entry lane: in which tenants each person should be looked for, the one that knows them first."""
        async with self._database.read() as tx:
            people = await directory.lookup(
                tx, bot_id=lane.bot, channel=lane.channel, tenant_id=None, addresses=addresses
            )
            rows = await installations.active(tx, bot_id=lane.bot, channel=lane.channel)
        tenants = [TenantId(row.tenant_id) for row in rows if not row.is_org]
        grouped: dict[str, list[KnownPerson]] = defaultdict(list)
        for person in people:
            if person.tenant_id in tenants:
                grouped[person.email].append(person)
        return {address: _place(grouped[address], tenants) for address in addresses}

    async def tenants_of_ids(self, lane: Lane, user_ids: Sequence[str]) -> dict[str, Placement]:
        """For the entry lane: the tenant in which each channel user id is known, else all of them in turn."""
        async with self._database.read() as tx:
            stored = await references.find(tx, bot_id=lane.bot, channel=lane.channel, tenant_id=None, persons=user_ids)
            rows = await installations.active(tx, bot_id=lane.bot, channel=lane.channel)
        tenants = tuple(TenantId(row.tenant_id) for row in rows if not row.is_org)
        anywhere = Placement(tenants, (TraceStep("installations", f"{len(tenants)} tenants to try"),))
        placements = {}
        for user_id in user_ids:
            reference = stored.get(user_id)
            known = reference is not None and reference[0].tenant_id in tenants
            placements[user_id] = (
                Placement((TenantId(reference[0].tenant_id),), (TraceStep("reference", "tenant known"),))
                if known and reference is not None
                else anywhere
            )
        return placements

    async def forget(self, lane: Lane, address: Address, *, person: bool) -> None:
        """Drop what proved stale: the conversation, or with `person` the user id as well."""
        async with self._database.write() as tx:
            await references.forget_conversation(
                tx,
                bot_id=lane.bot,
                channel=lane.channel,
                tenant_id=lane.tenant,
                user_id=address.user_id,
                conversation_id=address.conversation_id,
            )
            if person:
                await directory.forget(
                    tx, bot_id=lane.bot, channel=lane.channel, tenant_id=lane.tenant, user_id=address.user_id
                )

    async def _learn(
        self, lane: Lane, answers: Mapping[str, Person | NoPerson | LookupFailed]
    ) -> dict[str, Resolution]:
        now = self._now()
        people = {email: answer for email, answer in answers.items() if isinstance(answer, Person)}
        misses = [
            (email, answer.reason)
            for email, answer in answers.items()
            if isinstance(answer, NoPerson) and answer.remember
        ]
        async with self._database.write() as tx:
            unique = {person.user_id: person for person in people.values()}
            await directory.learn(
                tx,
                bot_id=lane.bot,
                channel=lane.channel,
                tenant_id=lane.tenant,
                persons=list(unique.values()),
                source=self._source.name,
                now=now,
            )
            await directory.remember_misses(
                tx,
                bot_id=lane.bot,
                channel=lane.channel,
                tenant_id=lane.tenant,
                reasons=misses,
                now=now,
                until=now + MISS_SECONDS,
            )
        known = await self.known(lane, list(people)) if people else {}
        return {email: self._answer(lane, email, answer, known) for email, answer in answers.items()}

    def _answer(
        self, lane: Lane, email: str, answer: Person | NoPerson | LookupFailed, known: Mapping[str, Resolution]
    ) -> Resolution:
        step = TraceStep(self._source.name, "")
        match answer:
            case NoPerson(reason, remedy):
                return Missing(reason, remedy, (TraceStep(step.source, reason, 0.0),))
            case LookupFailed(fault, retry_after):
                return Later(retry_after, fault, (TraceStep(step.source, fault.reason, 0.0),))
            case Person():
                stored = known.get(email)
                if stored is not None:
                    return stored
                trace = (TraceStep(step.source, "found", 0.0),)
                if answer.disabled:
                    return Missing("person_disabled", "", trace)
                return Found(Address(lane.tenant, answer.user_id, answer.user_id), trace)


def _from_miss(miss: Miss, now: float) -> Missing:
    step = TraceStep("directory", f"known to be {miss.reason}", max(0.0, now - miss.seen_at))
    return Missing(miss.reason, "", (step,))


def _from_known(candidates: Sequence[KnownPerson], now: float) -> Resolution | None:
    """One resolution out of everyone stored under an e-mail; None if what is stored is too old to trust."""
    living = [person for person in candidates if not person.disabled]
    if len(living) > 1:
        steps = (TraceStep("directory", f"{len(living)} people share the address"),)
        return Missing("person_ambiguous", "", steps)
    person = living[0] if living else candidates[0]
    age = max(0.0, now - person.seen_at)
    if age > FRESH_SECONDS and not person.reference_active:
        return None
    step = TraceStep(f"directory ({person.source})", "disabled" if person.disabled else "found", age)
    if person.disabled:
        return Missing("person_disabled", "", (step,))
    return _with_reference(person, step, now)


def _with_reference(person: KnownPerson, step: TraceStep, now: float) -> Resolution:
    tenant = TenantId(person.tenant_id)
    if person.reference_active is None:
        return Found(Address(tenant, person.user_id, person.user_id), (step,))
    age = None if not person.learned_at else max(0.0, now - person.learned_at)
    if not person.reference_active:
        reason = person.inactive_reason or "app_not_installed"
        return Missing(reason, "", (step, TraceStep("reference", reason, age)))
    address = Address(
        tenant, person.user_id, person.channel_id or person.user_id, person.conversation_id, person.service_url
    )
    return Found(address, (step, TraceStep("reference", "found", age)))


def _place(known: Sequence[KnownPerson], tenants: Sequence[TenantId]) -> Placement:
    """The tenant with a live conversation reference first, then the ones that know the person, then all others."""
    best = sorted(
        (person for person in known if not person.disabled),
        key=lambda person: (bool(person.reference_active), person.learned_at or 0.0, person.seen_at),
        reverse=True,
    )
    if best:
        order = dict.fromkeys(TenantId(person.tenant_id) for person in best)
        return Placement(tuple(order), (TraceStep("directory", f"known in {len(order)} tenant(s)"),))
    return Placement(tuple(tenants), (TraceStep("installations", f"{len(tenants)} tenants to ask"),))
