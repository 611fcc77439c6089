"""From an identity to an address, in two steps: what is stored, then the platform's own look-up.

`known` answers at once from the database (conversation references, directory, remembered misses); `look_up` asks the
platform through the lane's gate and stores what it learns.

    stored, confirmed within a week             known
    older, or several people share the e-mail   asked for: the platform's answer replaces what is stored
    and the platform cannot be asked            the stored person, if confirmed within 90 days

An e-mail passes to another person without any event (Teams has none), so a conversation reference makes nothing fresh:
it only says how a person is reached whose user id is confirmed.

In a bot's entry lane only `choose_tenant` and `tenants_of_ids` run: they say in which order the tenants are asked.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import assert_never

from adapters.base import Address, BotId, FaultClass, Gate, Lane, TenantId, TraceStep
from identity.answers import (
    Found,
    Judged,
    Later,
    LookupFailed,
    Missing,
    NoPerson,
    NotAsked,
    PeopleSource,
    PersonAnswer,
    Resolution,
    Unlicensed,
)
from identity.domains import Domains
from identity.placement import Placement, place
from storage import directory, installations, misses, references
from storage.directory import KnownPerson, Person
from storage.engine import Database
from storage.misses import Miss

FRESH_SECONDS = 7 * 24 * 3600.0  # a stored person is asked for again after a week
KEPT_SECONDS = 90 * 24 * 3600.0  # so long one is used unconfirmed where the platform cannot be asked
MARK_SECONDS = 24 * 3600.0  # a block or an uninstall is believed for a day: Teams does not tell when it ends
MISS_SECONDS = 15 * 60.0  # an unknown e-mail is asked for again after a quarter of an hour
UNINSTALLED = "app_not_installed"


class Resolver:
    """Resolves identities for one channel."""

    def __init__(
        self,
        database: Database,
        source: PeopleSource,
        *,
        clock: Callable[[], float],
        installing: frozenset[BotId] = frozenset(),
    ) -> None:
        """`installing` are the bots whose app is installed for people who do not have it."""
        self._database = database
        self._source = source
        self._now = clock
        self._installing = installing
        self._domains = Domains(clock)

    def installs(self, bot: BotId) -> bool:
        """Whether the app is installed for people of this bot who do not have it."""
        return bot in self._installing

    async def seconds(self, lane: Lane, unknown: int) -> float:
        """About how long so many look-ups take."""
        return await self._source.seconds(lane.bot, lane.tenant, unknown)

    async def known(self, lane: Lane, addresses: Sequence[str]) -> dict[str, Resolution]:
        """What is stored about these normal-form e-mails; an address that is absent must be looked up."""
        now = self._now()
        async with self._database.read() as tx:
            people = await directory.lookup(
                tx, bot_id=lane.bot, channel=lane.channel, tenant_id=lane.tenant, addresses=addresses
            )
            missed = await misses.find(
                tx, bot_id=lane.bot, channel=lane.channel, tenant_id=lane.tenant, addresses=addresses, now=now
            )
        found: dict[str, Resolution] = {miss.email: _from_miss(miss, now) for miss in missed}
        grouped: dict[str, list[KnownPerson]] = defaultdict(list)
        for person in people:
            grouped[person.email].append(person)
        for email, candidates in grouped.items():
            resolution = _from_known(candidates, now, self.installs(lane.bot))
            if resolution is not None:
                found[email] = resolution
        return found

    async def foreseen(self, lane: Lane, addresses: Sequence[str]) -> dict[str, Resolution]:
        """What a delivery would go by without a question to the platform; one that is absent would be looked up."""
        found = await self.known(lane, addresses)
        unasked = self._source.unasked(lane.bot)
        if unasked is None:
            return found
        others = [address for address in addresses if address not in found]
        kept = await self._kept(lane, others)
        return found | {address: self._answer(lane, unasked, kept.get(address)) for address in others}

    async def _kept(self, lane: Lane, addresses: Sequence[str]) -> dict[str, Resolution]:
        """What is stored about people whom the platform cannot be asked about."""
        now = self._now()
        async with self._database.read() as tx:
            people = await directory.lookup(
                tx, bot_id=lane.bot, channel=lane.channel, tenant_id=lane.tenant, addresses=addresses
            )
        grouped: dict[str, list[KnownPerson]] = defaultdict(list)
        for person in people:
            if abs(now - person.seen_at) <= KEPT_SECONDS:
                grouped[person.email].append(person)
        return {email: _from_kept(candidates, now, self.installs(lane.bot)) for email, candidates in grouped.items()}

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
            yield await self._learn(lane, await self._judge(lane, answers))

    async def choose_tenant(self, lane: Lane, addresses: Sequence[str]) -> dict[str, Placement]:
        """For the entry lane: in which tenants each person should be looked for, the one that knows them first."""
        async with self._database.read() as tx:
            people = await directory.lookup(
                tx, bot_id=lane.bot, channel=lane.channel, tenant_id=None, addresses=addresses
            )
            rows = await installations.active(tx, bot_id=lane.bot, channel=lane.channel)
            tenants = [TenantId(row.tenant_id) for row in rows if not row.is_org]
            members = await self._domains.members(tx, lane, addresses) if len(tenants) > 1 else {}
        grouped: dict[str, list[KnownPerson]] = defaultdict(list)
        for person in people:
            if person.tenant_id in tenants:
                grouped[person.email].append(person)
        now = self._now()
        return {
            address: place(grouped[address], tenants, members.get(directory.domain_of(address) or "", {}), now)
            for address in addresses
        }

    async def tenants_of_ids(self, lane: Lane, user_ids: Sequence[str]) -> dict[str, Placement]:
        """For the entry lane: the tenant in which each channel user id is known, then the others in turn."""
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
                Placement(
                    tuple(dict.fromkeys((TenantId(reference[0].tenant_id), *tenants))),
                    (TraceStep("reference", "tenant known", tenant=reference[0].tenant_id),),
                )
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

    async def _judge(self, lane: Lane, answers: Mapping[str, PersonAnswer]) -> dict[str, Judged]:
        """Whoever has no licence is nobody to write to, unless the platform gave us a conversation with them."""
        doubted = [answer.person.user_id for answer in answers.values() if isinstance(answer, Unlicensed)]
        stored: Mapping[str, tuple[references.Reference, bool]] = {}
        if doubted:
            async with self._database.read() as tx:
                stored = await references.find(
                    tx, bot_id=lane.bot, channel=lane.channel, tenant_id=lane.tenant, persons=doubted
                )
        return {email: _judged(answer, stored) for email, answer in answers.items()}

    async def _learn(self, lane: Lane, answers: Mapping[str, Judged]) -> dict[str, Resolution]:
        now = self._now()
        people = {email: answer for email, answer in answers.items() if isinstance(answer, Person)}
        missed = [
            (email, answer.reason)
            for email, answer in answers.items()
            if isinstance(answer, NoPerson) and answer.remember
        ]
        nobodys = [
            email
            for email, answer in answers.items()
            if isinstance(answer, NoPerson) and answer.reason in _ABOUT_THE_OWNER
        ]
        async with self._database.write() as tx:
            await directory.learn(
                tx,
                bot_id=lane.bot,
                channel=lane.channel,
                tenant_id=lane.tenant,
                persons=_unique(people.values()),
                source=self._source.name,
                now=now,
            )
            await directory.take(
                tx,
                bot_id=lane.bot,
                channel=lane.channel,
                tenant_id=lane.tenant,
                owners={email: person.user_id for email, person in people.items()},
            )
            await directory.disown(tx, bot_id=lane.bot, channel=lane.channel, tenant_id=lane.tenant, addresses=nobodys)
            await misses.remember(
                tx,
                bot_id=lane.bot,
                channel=lane.channel,
                tenant_id=lane.tenant,
                reasons=missed,
                now=now,
                until=now + MISS_SECONDS,
            )
        unasked = [email for email, answer in answers.items() if _is_unasked(answer)]
        known = await self.known(lane, list(people)) if people else {}
        known |= await self._kept(lane, unasked) if unasked else {}
        return {email: self._answer(lane, answer, known.get(email)) for email, answer in answers.items()}

    def _answer(self, lane: Lane, answer: Judged, stored: Resolution | None) -> Resolution:
        """The resolution that an answer of the platform comes to; `stored` is what the database makes of it."""
        source = self._source.name
        match answer:
            case NoPerson(reason, remedy, _, code):
                return Missing(reason, remedy, (TraceStep(source, reason, 0.0, code),))
            case NotAsked(remedy):
                step = TraceStep(source, "not asked: look-ups are switched off")
                if stored is not None:
                    return replace(stored, trace=(step, *stored.trace))
                return Missing("person_not_found", remedy, (step, TraceStep("directory", "person_not_found")))
            case LookupFailed(fault, retry_after):
                step = TraceStep(source, fault.reason, 0.0, fault.code)
                if isinstance(stored, Found):
                    return replace(stored, trace=(step, *stored.trace))
                return Later(retry_after, fault, (step,))
            case Person():
                if stored is not None:
                    return stored
                trace = (TraceStep(source, "found", 0.0),)
                if answer.disabled:
                    return Missing("person_disabled", "", trace)
                return Found(Address(lane.tenant, answer.user_id, answer.user_id), trace, guest=answer.kind == "guest")
            case _:
                assert_never(answer)


_ABOUT_THE_OWNER = frozenset(
    {"person_not_found", "person_disabled", "person_ambiguous", "person_unlicensed", "guest_not_supported"}
)
"""Answers that say to whom an e-mail leads; any other refusal says nothing about its owner."""


def _judged(answer: PersonAnswer, stored: Mapping[str, tuple[references.Reference, bool]]) -> Judged:
    """An answer about somebody without a licence, in the light of the conversations that we have."""
    if not isinstance(answer, Unlicensed):
        return answer
    reference, is_live = stored.get(answer.person.user_id, (None, False))
    if is_live and reference is not None and reference.conversation_id is not None:
        return answer.person
    return answer.otherwise


def _is_unasked(answer: Judged) -> bool:
    """Whether the platform cannot be asked, now or ever; a pause or a failure is waited for instead."""
    return isinstance(answer, NotAsked) or (
        isinstance(answer, LookupFailed) and answer.fault.klass is FaultClass.CONFIGURATION
    )


def _unique(people: Iterable[Person]) -> list[Person]:
    """Each person once, with all the e-mails under which they were asked for."""
    unique: dict[str, Person] = {}
    for person in people:
        before = unique.get(person.user_id)
        emails = person.emails if before is None else (*before.emails, *person.emails)
        unique[person.user_id] = replace(person, emails=tuple(dict.fromkeys(emails)))
    return list(unique.values())


def _from_miss(miss: Miss, now: float) -> Missing:
    step = TraceStep("directory", f"known to be {miss.reason}", max(0.0, now - miss.seen_at))
    return Missing(miss.reason, "", (step,))


def _from_known(candidates: Sequence[KnownPerson], now: float, installs: bool) -> Resolution | None:
    """One resolution out of everyone stored under an e-mail; None if the platform must be asked whose it is now."""
    living = [person for person in candidates if not person.disabled]
    if len(living) > 1:
        return None
    person = living[0] if living else max(candidates, key=lambda person: person.seen_at)
    return _resolution(person, now, installs) if _is_fresh(person, now) else None


def _from_kept(candidates: Sequence[KnownPerson], now: float, installs: bool) -> Resolution:
    """The same where nobody can be asked: who was confirmed within a week goes before who was not."""
    living = [person for person in candidates if not person.disabled]
    fresh = [person for person in living if _is_fresh(person, now)]
    owners = fresh or living
    if len(owners) > 1:
        return Missing("person_ambiguous", "", (TraceStep("directory", f"{len(owners)} people share the address"),))
    person = owners[0] if owners else max(candidates, key=lambda person: person.seen_at)
    resolution = _resolution(person, now, installs)
    if _is_fresh(person, now):
        return resolution
    bound = TraceStep("directory", f"used unconfirmed, at most {KEPT_SECONDS / 86400.0:.0f} days")
    return replace(resolution, trace=(bound, *resolution.trace))


def _is_fresh(person: KnownPerson, now: float) -> bool:
    return abs(now - person.seen_at) <= FRESH_SECONDS  # from the future: the clock was set back


def _resolution(person: KnownPerson, now: float, installs: bool) -> Found | Missing:
    age = max(0.0, now - person.seen_at)
    step = TraceStep(f"directory ({person.source})", "disabled" if person.disabled else "found", age)
    if person.disabled:
        return Missing("person_disabled", "", (step,))
    return _with_reference(person, step, now, installs)


def _with_reference(person: KnownPerson, step: TraceStep, now: float, installs: bool) -> Found | Missing:
    tenant, guest = TenantId(person.tenant_id), person.kind == "guest"
    if person.reference_active is None:
        return Found(Address(tenant, person.user_id, person.user_id), (step,), guest=guest)
    address = Address(
        tenant, person.user_id, person.channel_id or person.user_id, person.conversation_id, person.service_url
    )
    if person.reference_active:
        age = None if not person.learned_at else max(0.0, now - person.learned_at)
        return Found(address, (step, TraceStep("reference", "found", age)), person.learned_at or 0.0, guest)
    reason = person.inactive_reason or UNINSTALLED
    marked = abs(now - (person.reference_changed_at or 0.0))
    if marked <= MARK_SECONDS and not (installs and reason == UNINSTALLED):
        return Missing(reason, "", (step, TraceStep("reference", reason, marked)))
    if reason == UNINSTALLED:  # the conversation went with the app
        address = replace(address, conversation_id=None)
    return Found(address, (step, TraceStep("reference", f"tried again: {reason}", marked)), guest=guest)
