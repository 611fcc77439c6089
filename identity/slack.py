"""Slack's people by e-mail: one look-up each, or the whole listing, whichever is sooner.

users.lookupByEmail answers for one address and may be called 50 times a minute; users.list gives up to 1000 people and
may be called 20 times a minute. A thousand unknown addresses take twenty minutes one way and seconds the other.

    U addresses, M people listed in pages of P      look up: U/50 min      list: ⌈M/P⌉/20 min
    M unknown and U > 20                            both at once; the listing stops the look-ups it has answered
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from adapters.base import BotId, Fault, FaultClass, Gate, TenantId
from adapters.slack import faults, limits
from adapters.slack.client import Failure, SlackClient
from adapters.slack.installations import Installed, SlackInstallations
from adapters.slack.people import EMAIL_SCOPE, Workspace, person_of
from identity.answers import LookupFailed, NoPerson, PersonAnswer
from identity.email import normal_form
from identity.slack_listing import LIST, Progress, SlackListing
from storage.directory import Person
from storage.mirrors import Mirror

LOOK_UP = "users.lookupByEmail"
AT_ONCE = 8
MANY = 20
SHORT_PAGES = 20  # so many more than expected are no surprise: Slack gives fewer people in a page whenever it likes
PATIENCE = 3  # throttled answers in a row before the caller is told to come back later
RETRY_SECONDS = 5.0
MISCONFIGURED_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Plan:
    """Which of the two ways to take."""

    look_up: bool
    list_all: bool


def choose(unknown: int, mirror: Mirror | None) -> Plan:
    """The quicker way for so many unknown addresses."""
    if mirror is None or mirror.completed_at is None:
        return Plan(look_up=True, list_all=unknown > MANY)
    pages = max(1, math.ceil(mirror.members / (mirror.page_size or limits.USERS_PAGE)))
    listing = unknown / limits.TIER_3 > pages / limits.TIER_2
    return Plan(look_up=not listing, list_all=listing)


@dataclass(slots=True)
class _Search:
    """One question: the addresses still open, the answers as they come, the last thing that went wrong."""

    open: dict[str, None]
    completed: int  # the newest listing that had come to its end when we were asked
    answers: asyncio.Queue[dict[str, PersonAnswer] | None] = field(default_factory=asyncio.Queue)
    asked: set[str] = field(default_factory=set)
    failure: LookupFailed | None = None
    throttled: int = 0

    def answer(self, found: Mapping[str, PersonAnswer]) -> None:
        """Answer addresses, each only once."""
        news = {address: answer for address, answer in found.items() if address in self.open}
        for address in news:
            del self.open[address]
        if news:
            self.answers.put_nowait(news)

    def take(self) -> str | None:
        """An open address that nobody is looking up."""
        for address in self.open:
            if address not in self.asked:
                self.asked.add(address)
                return address
        return None


class SlackPeople:
    """Implements PeopleSource for Slack."""

    name = "slack"

    def __init__(self, client: SlackClient, installations: SlackInstallations, listing: SlackListing) -> None:
        self._client = client
        self._installations = installations
        self._listing = listing

    def unasked(self, _bot: BotId) -> None:
        """Slack is always asked."""

    async def find(
        self, bot: BotId, tenant: TenantId, addresses: Sequence[str], gate: Gate
    ) -> AsyncIterator[Mapping[str, PersonAnswer]]:
        """Look normal-form e-mails up; answers come as they are known, each address once.

        Raises only what the database raises.
        """
        mirror = await self._listing.mirror(bot, tenant)
        search = _Search(dict.fromkeys(addresses), 0 if mirror is None else mirror.completed)
        speaker = await self._installations.speaker(bot, tenant)
        fault = _unable(speaker)
        if fault is not None or isinstance(speaker, Fault):
            failed = LookupFailed(fault or faults.NOT_INSTALLED, MISCONFIGURED_SECONDS)
            if search.open:
                yield dict.fromkeys(search.open, failed)
            return
        plan = choose(len(search.open), mirror)
        work = asyncio.create_task(self._search(plan, speaker, search, gate))
        work.add_done_callback(lambda _: search.answers.put_nowait(None))
        try:
            while (answers := await search.answers.get()) is not None:
                yield answers
            await work
            if search.open:
                failed = search.failure or LookupFailed(faults.not_written("not_asked"), RETRY_SECONDS)
                yield dict.fromkeys(search.open, failed)
        finally:
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)

    async def seconds(self, bot: BotId, tenant: TenantId, unknown: int) -> float:
        """About how long looking so many addresses up takes, by the quicker way; of a size unknown, one by one."""
        mirror = await self._listing.mirror(bot, tenant)
        one_by_one = max(unknown - limits.LOOKUP_BURST, 0.0) / limits.TIER_3 * 60.0
        if mirror is None or not mirror.members:
            return one_by_one
        pages = math.ceil(mirror.members / (mirror.page_size or limits.USERS_PAGE))
        return min(one_by_one, max(pages - limits.LIST_BURST, 0.0) / limits.TIER_2 * 60.0)

    async def _search(self, plan: Plan, speaker: Installed, search: _Search, gate: Gate) -> None:
        """Take the planned ways until every address is answered or no way is left."""
        ways = []
        if plan.look_up:
            ways.append(asyncio.create_task(self._look_up(speaker, search, gate)))
        if plan.list_all:
            ways.append(asyncio.create_task(self._list(speaker, search, gate)))
        try:
            pending = set(ways)
            while pending and search.open:
                done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
                for way in done:
                    way.result()
            if search.open and not plan.look_up and not _hopeless(search.failure):
                await self._look_up(speaker, search, gate)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)

    # ------------------------------------------------------------------ one by one

    async def _look_up(self, speaker: Installed, search: _Search, gate: Gate) -> None:
        """Ask for the open addresses, a few at a time; ends when none is left or asking makes no sense."""
        stop = asyncio.Event()
        workers = [
            asyncio.create_task(self._ask_in_turn(speaker, search, gate, stop))
            for _ in range(min(AT_ONCE, len(search.open)))
        ]
        try:
            await asyncio.gather(*workers)
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)

    async def _ask_in_turn(self, speaker: Installed, search: _Search, gate: Gate, stop: asyncio.Event) -> None:
        while not stop.is_set() and search.open.keys() - search.asked:
            await gate.enter(LOOK_UP)
            address = search.take()  # only now: the listing may have answered many meanwhile
            if address is None or stop.is_set():
                return
            result = await self._client.call(LOOK_UP, speaker.token, email=address, team_id=speaker.tenant)
            if not isinstance(result, Failure):
                search.throttled = 0
                search.answer({address: _from_body(result.body, address, speaker)})
            elif self._is_over(search, address, result, gate):
                stop.set()

    def _is_over(self, search: _Search, address: str, failure: Failure, gate: Gate) -> bool:
        """Digest a failed look-up; True when the next one would fail as well."""
        fault = failure.as_read
        if fault.klass is FaultClass.REFUSED:
            search.throttled = 0
            known = fault.reason == "person_not_found"
            search.answer({address: NoPerson(fault.reason, fault.remedy, known, fault.code)})
            return False
        search.asked.discard(address)
        search.failure = _failed(fault, failure.retry_after)
        if not failure.throttled:
            return True
        gate.throttled(LOOK_UP, failure.retry_after)
        search.throttled += 1
        return search.throttled > PATIENCE

    # ------------------------------------------------------------------ everybody

    async def _list(self, speaker: Installed, search: _Search, gate: Gate) -> None:
        """List the workspace, answering what each page holds; at the end, who was not listed does not exist."""
        async with self._listing.flight(speaker.bot, speaker.tenant):
            mirror = await self._listing.mirror(speaker.bot, speaker.tenant)
            if mirror is not None and mirror.completed > search.completed:
                stored = await self._listing.stored(speaker.bot, speaker.tenant, list(search.open))
                search.answer({address: _person_or_not(stored.get(address)) for address in search.open})
                return
            await self._pages(speaker, search, gate, mirror)

    async def _pages(self, speaker: Installed, search: _Search, gate: Gate, mirror: Mirror | None) -> None:
        progress = await self._listing.begin(speaker.bot, speaker.tenant)
        gone: dict[str, Person] = {}
        saw_email = False
        throttled = 0
        while search.open and not _is_far_longer(progress, mirror):
            page = await self._listing.page(speaker, progress, gate)
            if isinstance(page, Failure):
                search.failure = _failed(page.as_read, page.retry_after)
                throttled += 1
                if page.throttled and throttled <= PATIENCE:
                    continue
                return
            throttled = 0
            saw_email = saw_email or any(person.emails for person in page.people)
            search.answer({email: each for each in page.people if not each.disabled for email in each.emails})
            gone.update({email: each for each in page.people if each.disabled for email in each.emails})
            if page.endless is not None:
                search.failure = LookupFailed(page.endless, RETRY_SECONDS)
                return
            if page.next is None:
                if saw_email:
                    search.answer({address: _person_or_not(gone.get(address)) for address in search.open})
                else:  # a listing without a single address says that we may not read them, not that nobody has one
                    search.failure = LookupFailed(_no_email_scope(), MISCONFIGURED_SECONDS)
                return
            progress = page.next


def _is_far_longer(progress: Progress, mirror: Mirror | None) -> bool:
    """Whether a listing has taken so many more pages than the last that looking up is quicker after all."""
    if mirror is None or mirror.completed_at is None:
        return False
    return progress.trail.pages >= 2 * math.ceil(mirror.members / progress.limit) + SHORT_PAGES


def _from_body(body: Mapping[str, object], address: str, speaker: Installed) -> PersonAnswer:
    user = body.get("user")
    if not isinstance(user, dict) or not isinstance(user.get("id"), str):
        return LookupFailed(faults.of_a_read(faults.not_answered("no_user")), RETRY_SECONDS)
    person = person_of(user, Workspace(speaker.tenant, speaker.enterprise), normal_form)
    if person is None:  # a bot, or somebody met through Slack Connect: there, and not to be written to
        row = faults.FAULTS["user_not_visible"]
        return NoPerson(row.reason, row.remedy)
    if address not in person.emails:  # Slack says that this address leads to them
        person = replace(person, emails=(*person.emails, address))
    return _person_or_not(person)


def _person_or_not(person: Person | None) -> PersonAnswer:
    if person is None:
        row = faults.FAULTS["users_not_found"]
        return NoPerson(row.reason, row.remedy)
    if person.disabled:
        row = faults.FAULTS["user_disabled"]
        return NoPerson(row.reason, row.remedy, remember=False)  # the directory knows
    return person


def _unable(speaker: Installed | Fault) -> Fault | None:
    """Why this workspace cannot be asked at all."""
    if isinstance(speaker, Fault):
        return speaker
    if speaker.scopes and EMAIL_SCOPE not in speaker.scopes:
        return _no_email_scope()
    return None


def _no_email_scope() -> Fault:
    return faults.classify(200, {"error": "missing_scope", "needed": EMAIL_SCOPE})


def _failed(fault: Fault, retry_after: float | None) -> LookupFailed:
    wait = MISCONFIGURED_SECONDS if fault.klass is FaultClass.CONFIGURATION else RETRY_SECONDS
    return LookupFailed(fault, wait if retry_after is None else retry_after)


def _hopeless(failure: LookupFailed | None) -> bool:
    """Whether the other way would meet the same trouble."""
    return failure is not None and failure.fault.klass is FaultClass.CONFIGURATION


__all__ = ["LIST", "LOOK_UP", "Plan", "SlackPeople", "choose"]
