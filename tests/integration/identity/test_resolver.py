"""Whom an e-mail leads to: what is stored, how long it is believed, and what a look-up changes in it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from adapters.base import BotId, ChannelName, Fault, FaultClass, Gate, Lane, TenantId, TraceStep
from identity.answers import (
    Found,
    Later,
    LookupFailed,
    Missing,
    NoPerson,
    NotAsked,
    PersonAnswer,
    Resolution,
    Unlicensed,
)
from identity.domains import MANY
from identity.resolver import FRESH_SECONDS, KEPT_SECONDS, MARK_SECONDS, Resolver
from storage import directory, installations, mirrors, references
from storage.directory import Person
from storage.engine import Database
from storage.installations import Installation
from storage.references import Reference

BOT = BotId("st-people")
HOME, ELSEWHERE = TenantId("T1"), TenantId("T2")
LANE = Lane(BOT, ChannelName.MSTEAMS, HOME)
ENTRY = Lane(BOT, ChannelName.MSTEAMS, TenantId(""))
ANN = "ann@x.example"
START = 1_000_000_000.0

DENIED = Fault(FaultClass.CONFIGURATION, "permission_missing", "Grant it.", "Authorization_RequestDenied")
BUSY = Fault(FaultClass.NOT_SENT, "throttled", "Wait.", "http_429")


class FreeGate:
    """Lets everything pass."""

    async def enter(self, bucket: str) -> None:
        """Without waiting."""

    def went_well(self, bucket: str) -> None:
        """Not looked at here."""

    def throttled(self, bucket: str, retry_after: float | None) -> None:
        """Nobody asks."""


@dataclass
class Source:
    """A platform that answers what it was told."""

    name: str = "graph"
    answers: dict[str, PersonAnswer] = field(default_factory=dict)
    off: NotAsked | None = None

    def unasked(self, _bot: BotId) -> NotAsked | None:
        """Whatever was told."""
        return self.off

    async def seconds(self, bot: BotId, tenant: TenantId, unknown: int) -> float:
        """Answers cost no time here."""
        return 0.0

    async def find(
        self, bot: BotId, tenant: TenantId, addresses: Sequence[str], gate: Gate
    ) -> AsyncIterator[Mapping[str, PersonAnswer]]:
        """All at once; nobody by default."""
        yield {each: self.answers.get(each, NoPerson("person_not_found", "Check it.")) for each in addresses}


@dataclass
class Desk:
    """A resolver with its platform, its database and its clock."""

    database: Database
    source: Source = field(default_factory=Source)
    now: float = START

    def resolver(self) -> Resolver:
        """One process's resolver."""
        return Resolver(self.database, self.source, clock=lambda: self.now)

    async def know(self, user_id: str, *emails: str, tenant: str = HOME, **details: Any) -> None:
        """The directory learns a person now."""
        async with self.database.write() as tx:
            await directory.learn(
                tx,
                bot_id=BOT,
                channel="msteams",
                tenant_id=tenant,
                persons=[Person(user_id, emails or (ANN,), **details)],
                source="install",
                now=self.now,
            )

    async def refer(self, user_id: str, tenant: str = HOME) -> None:
        """The person installs the app now."""
        reference = Reference(BOT, "msteams", tenant, user_id, f"29:{user_id}", f"a:{user_id}", None, self.now)
        async with self.database.write() as tx:
            await references.capture(tx, reference, self.now)

    async def refuse(self, user_id: str, reason: str) -> None:
        """A send to the person was refused."""
        async with self.database.write() as tx:
            await references.refused(
                tx,
                bot_id=BOT,
                channel="msteams",
                tenant_id=HOME,
                person=user_id,
                reason=reason,
                asked_at=self.now,
                now=self.now,
            )

    async def install(self, *tenants: str) -> None:
        """The app is in these tenants."""
        async with self.database.write() as tx:
            for tenant in tenants:
                await installations.save(tx, Installation(BOT, "msteams", tenant, installed_at=1.0), 1.0)

    async def known(self, address: str = ANN) -> Resolution | None:
        """What is stored."""
        return (await self.resolver().known(LANE, [address])).get(address)

    async def look_up(self, address: str = ANN) -> Resolution:
        """What the platform says."""
        (answers,) = [each async for each in self.resolver().look_up(LANE, [address], FreeGate())]
        return answers[address]

    async def owners(self, address: str = ANN) -> list[str]:
        """To whom the e-mail leads in the directory."""
        async with self.database.read() as tx:
            rows = await directory.lookup(tx, bot_id=BOT, channel="msteams", tenant_id=None, addresses=[address])
        return sorted(row.user_id for row in rows)


@pytest.fixture(name="desk")
def _desk(database: Database) -> Desk:
    return Desk(database)


def person(resolution: Resolution | None) -> str | None:
    """The user id that was found."""
    return resolution.address.user_id if isinstance(resolution, Found) else None


def reason(resolution: Resolution | None) -> str | None:
    """Why nobody was found."""
    return resolution.reason if isinstance(resolution, Missing) else None


class TestFreshness:
    async def test_fresh(self, desk: Desk) -> None:
        """Within a week the stored person is known, with the conversation."""
        await desk.know("U1")
        await desk.refer("U1")
        desk.now += FRESH_SECONDS

        found = await desk.known()

        assert isinstance(found, Found)
        assert found.address.conversation_id == "a:U1"

    async def test_a_conversation_makes_nothing_fresh(self, desk: Desk) -> None:
        """After a week the e-mail is asked for again, however well its last owner could be reached."""
        await desk.know("U1")
        desk.now += FRESH_SECONDS + 1
        await desk.refer("U1")

        assert await desk.known() is None

    async def test_a_person_seen_is_not_an_address_seen(self, desk: Desk) -> None:
        """News about a person without their e-mail does not confirm the e-mail."""
        await desk.know("U1")
        desk.now += FRESH_SECONDS + 1
        async with desk.database.write() as tx:
            await directory.set_disabled(
                tx, bot_id=BOT, channel="msteams", tenant_id=HOME, user_id="U1", disabled=False, now=desk.now
            )

        assert await desk.known() is None

    async def test_a_clock_that_was_set_back(self, desk: Desk) -> None:
        """What was stored by a clock far ahead is not believed until that day comes."""
        desk.now += 10 * KEPT_SECONDS
        await desk.know("U1")
        desk.now = START

        assert await desk.known() is None

    async def test_confirmed(self, desk: Desk) -> None:
        """Once the platform has confirmed the person, the stored conversation is used again."""
        await desk.know("U1")
        await desk.refer("U1")
        desk.now += FRESH_SECONDS + 1
        desk.source.answers[ANN] = Person("U1", (ANN,))

        found = await desk.look_up()

        assert isinstance(found, Found)
        assert found.address.conversation_id == "a:U1"
        assert person(await desk.known()) == "U1"


class TestReassignedAddresses:
    async def test_somebody_else(self, desk: Desk) -> None:
        """When the platform names another owner, the one before loses the e-mail and keeps their others."""
        await desk.know("U1", ANN, "old@x.example")
        await desk.refer("U1")
        desk.now += FRESH_SECONDS + 1
        desk.source.answers[ANN] = Person("U2", (ANN,))

        found = await desk.look_up()

        assert person(found) == "U2"
        assert person(await desk.known()) == "U2"
        assert (await desk.owners(), await desk.owners("old@x.example")) == (["U2"], ["U1"])

    async def test_in_this_tenant_only(self, desk: Desk) -> None:
        """The owner in another tenant is not touched."""
        await desk.know("U9", tenant=ELSEWHERE)
        desk.source.answers[ANN] = Person("U2", (ANN,))

        await desk.look_up()

        assert await desk.owners() == ["U2", "U9"]

    async def test_nobody(self, desk: Desk) -> None:
        """When the platform knows nobody, the e-mail leads to nobody any more."""
        await desk.know("U1", ANN, "old@x.example")
        desk.now += FRESH_SECONDS + 1

        assert reason(await desk.look_up()) == "person_not_found"
        assert reason(await desk.known()) == "person_not_found"
        assert (await desk.owners(), await desk.owners("old@x.example")) == ([], ["U1"])

    async def test_a_refusal_is_no_owner(self, desk: Desk) -> None:
        """A refusal that says nothing about the owner takes nothing away."""
        await desk.know("U1")
        desk.source.answers[ANN] = NoPerson("unknown_code", "See the code.", remember=False)

        await desk.look_up()

        assert await desk.owners() == ["U1"]

    async def test_two_owners_are_asked_about(self, desk: Desk) -> None:
        """A stored ambiguity is looked up, and the platform's answer settles it."""
        await desk.know("U1")
        await desk.know("U2")
        before = await desk.known()
        desk.source.answers[ANN] = Person("U2", (ANN,))

        assert before is None
        assert person(await desk.look_up()) == "U2"
        assert person(await desk.known()) == "U2"

    async def test_the_platform_says_ambiguous(self, desk: Desk) -> None:
        """An ambiguity that the platform itself reports is remembered."""
        await desk.know("U1")
        await desk.know("U2")
        desk.source.answers[ANN] = NoPerson("person_ambiguous", "Make it unique.")

        await desk.look_up()

        assert reason(await desk.known()) == "person_ambiguous"

    async def test_two_addresses_of_one_person(self, desk: Desk) -> None:
        """Asked for under two e-mails that no profile shows together, a person is known under both."""
        other = "ann.other@x.example"
        desk.source.answers |= {ANN: Person("U1", (ANN,)), other: Person("U1", (other,))}

        async for _ in desk.resolver().look_up(LANE, [ANN, other], FreeGate()):
            pass

        assert (await desk.owners(), await desk.owners(other)) == (["U1"], ["U1"])


class TestWhoCannotBeAsked:
    @pytest.mark.parametrize("answer", [NotAsked("Switch it on."), LookupFailed(DENIED, 60.0)], ids=["off", "denied"])
    async def test_stored_people_are_reached(self, desk: Desk, answer: PersonAnswer) -> None:
        """Without look-ups who was stored is used for ninety days, and the trace says so."""
        await desk.know("U1")
        await desk.refer("U1")
        desk.now += KEPT_SECONDS
        desk.source.answers[ANN] = answer

        found = await desk.look_up()

        assert isinstance(found, Found)
        assert found.address.conversation_id == "a:U1"
        assert ("directory", "used unconfirmed, at most 90 days") in [
            (step.source, step.result) for step in found.trace
        ]

    async def test_not_for_ever(self, desk: Desk) -> None:
        """After ninety days without a confirmation nobody is written to."""
        await desk.know("U1")
        await desk.refer("U1")
        desk.now += KEPT_SECONDS + 1
        desk.source.answers[ANN] = NotAsked("Switch it on.")
        switched_off = await desk.look_up()
        desk.source.answers[ANN] = LookupFailed(DENIED, 60.0)
        denied = await desk.look_up()

        assert reason(switched_off) == "person_not_found"
        assert isinstance(denied, Later)
        assert denied.fault == DENIED

    async def test_a_stranger(self, desk: Desk) -> None:
        """Who is not stored is not found, with the remedy, and nothing is remembered."""
        desk.source.answers[ANN] = NotAsked("Switch it on.")

        found = await desk.look_up()

        assert isinstance(found, Missing)
        assert (found.reason, found.remedy) == ("person_not_found", "Switch it on.")
        assert await desk.known() is None

    async def test_a_pause_is_waited_for(self, desk: Desk) -> None:
        """A platform that can be asked a little later is asked later."""
        await desk.know("U1")
        desk.now += FRESH_SECONDS + 1
        desk.source.answers[ANN] = LookupFailed(BUSY, 9.0)

        found = await desk.look_up()

        assert isinstance(found, Later)
        assert (found.retry_after, found.fault) == (9.0, BUSY)

    async def test_the_one_confirmed_lately(self, desk: Desk) -> None:
        """Of two owners the one confirmed within a week is meant."""
        await desk.know("U1")
        desk.now += FRESH_SECONDS + 1
        await desk.know("U2")
        desk.source.answers[ANN] = NotAsked("Switch it on.")

        assert person(await desk.look_up()) == "U2"

    async def test_two_as_good_as_each_other(self, desk: Desk) -> None:
        """Between two owners nobody guesses."""
        await desk.know("U1")
        await desk.know("U2")
        desk.source.answers[ANN] = NotAsked("Switch it on.")
        switched_off = await desk.look_up()
        desk.source.answers[ANN] = LookupFailed(DENIED, 60.0)

        assert reason(switched_off) == "person_ambiguous"
        assert isinstance(await desk.look_up(), Later)


class TestInactiveReferences:
    @pytest.mark.parametrize("why", ["blocked_by_recipient", "app_not_installed"])
    async def test_believed_for_a_day(self, desk: Desk, why: str) -> None:
        """A block or an uninstall refuses at once for a day."""
        await desk.know("U1")
        await desk.refer("U1")
        await desk.refuse("U1", why)
        desk.now += MARK_SECONDS

        assert reason(await desk.known()) == why

    @pytest.mark.parametrize(("why", "conversation"), [("blocked_by_recipient", "a:U1"), ("app_not_installed", None)])
    async def test_then_tried_again(self, desk: Desk, why: str, conversation: str | None) -> None:
        """Then the platform is asked again: it tells nobody of an unblock. With the app the conversation went."""
        await desk.know("U1")
        await desk.refer("U1")
        await desk.refuse("U1", why)
        desk.now += MARK_SECONDS + 1

        found = await desk.known()

        assert isinstance(found, Found)
        assert found.address.conversation_id == conversation
        assert found.trace[-1].result == f"tried again: {why}"

    async def test_refused_again(self, desk: Desk) -> None:
        """A try that is refused counts for another day."""
        await desk.know("U1")
        await desk.refer("U1")
        await desk.refuse("U1", "blocked_by_recipient")
        desk.now += MARK_SECONDS + 1
        await desk.refuse("U1", "blocked_by_recipient")
        desk.now += MARK_SECONDS

        assert reason(await desk.known()) == "blocked_by_recipient"

    async def test_newer_news_stay(self, desk: Desk) -> None:
        """A refusal of a send that began before the person came back changes nothing."""
        await desk.know("U1")
        began = desk.now
        desk.now += 5
        await desk.refer("U1")
        async with desk.database.write() as tx:
            marked = await references.refused(
                tx,
                bot_id=BOT,
                channel="msteams",
                tenant_id=HOME,
                person="U1",
                reason="app_not_installed",
                asked_at=began,
                now=desk.now,
            )

        assert not marked
        assert person(await desk.known()) == "U1"


class TestLicence:
    ANSWER = Unlicensed(Person("U1", (ANN,)), NoPerson("person_unlicensed", "Assign a licence."))

    async def test_without_a_conversation(self, desk: Desk) -> None:
        """Who has no licence and no conversation with the app is refused, now and while that is remembered."""
        desk.source.answers[ANN] = self.ANSWER

        refused = await desk.look_up()

        assert isinstance(refused, Missing)
        assert (refused.reason, refused.remedy) == ("person_unlicensed", "Assign a licence.")
        assert reason(await desk.known()) == "person_unlicensed"

    async def test_with_a_conversation(self, desk: Desk) -> None:
        """Who has a live conversation with the app is reached, whatever the licences say."""
        await desk.refer("U1")
        desk.source.answers[ANN] = self.ANSWER

        assert person(await desk.look_up()) == "U1"
        assert person(await desk.known()) == "U1"

    async def test_with_a_conversation_that_ended(self, desk: Desk) -> None:
        """A conversation that the app was removed from reaches nobody."""
        await desk.refer("U1")
        await desk.refuse("U1", "app_not_installed")
        desk.source.answers[ANN] = self.ANSWER

        assert reason(await desk.look_up()) == "person_unlicensed"

    async def test_the_former_owner(self, desk: Desk) -> None:
        """An address that passed to an account without a licence no longer leads to whoever had it."""
        await desk.know("U0")
        desk.now += FRESH_SECONDS + 1
        desk.source.answers[ANN] = self.ANSWER
        await desk.look_up()

        assert await desk.owners() == []


class TestTrace:
    async def test_codes(self, desk: Desk) -> None:
        """A look-up leaves source, result, age and the platform's own word, of an answer and of a failure."""
        desk.source.answers[ANN] = NoPerson("person_not_found", "Check it.", code="users_not_found")
        nobody = await desk.look_up()
        desk.source.answers[ANN] = LookupFailed(BUSY, 5.0)
        later = await desk.look_up()

        assert isinstance(nobody, Missing)
        assert nobody.trace == (TraceStep("graph", "person_not_found", 0.0, "users_not_found"),)
        assert isinstance(later, Later)
        assert later.trace == (TraceStep("graph", "throttled", 0.0, "http_429"),)


class TestPlacement:
    async def test_the_others_follow(self, desk: Desk) -> None:
        """The tenant that knows the person is asked first, and the others after it."""
        await desk.install("T0", HOME, ELSEWHERE)
        await desk.know("U1", tenant=ELSEWHERE)

        placed = await desk.resolver().choose_tenant(ENTRY, [ANN])

        assert placed[ANN].tenants == (ELSEWHERE, "T0", HOME)

    async def test_by_evidence(self, desk: Desk) -> None:
        """First where the person talked to us last, then who knows them, then whose members have the domain."""
        await desk.install("T0", "T1", "T2", "T3", "T4", "T5", "T6")
        for tenant in ("T3", "T6"):
            await desk.know("U1", tenant=tenant)
            desk.now += 1
            await desk.refer("U1", tenant=tenant)
        await desk.know("U1", tenant="T5")
        await desk.know("U1", tenant="T1", kind="guest")
        await desk.know("U1", tenant="T4", disabled=True)
        await desk.know("U2", "bob@x.example", tenant="T2")

        placed = (await desk.resolver().choose_tenant(ENTRY, [ANN]))[ANN]

        assert placed.tenants == ("T6", "T3", "T5", "T2", "T1", "T0", "T4")
        assert placed.sure
        assert [(step.source, step.tenant) for step in placed.trace] == [("reference", "T6")]

    async def test_a_conversation_that_ended(self, desk: Desk) -> None:
        """Where the app was removed, the person talks to us no more; nor where we wrote and they never answered."""
        await desk.install(HOME, ELSEWHERE)
        await desk.know("U1")
        await desk.refer("U1")
        await desk.refuse("U1", "app_not_installed")
        await desk.know("U2", tenant=ELSEWHERE)
        async with desk.database.write() as tx:
            await references.opened(
                tx,
                bot_id=BOT,
                channel="msteams",
                tenant_id=ELSEWHERE,
                user_id="U2",
                channel_id="29:U2",
                conversation_id="a:U2",
                service_url=None,
                now=desk.now,
            )

        placed = (await desk.resolver().choose_tenant(ENTRY, [ANN]))[ANN]

        assert (placed.tenants, placed.sure) == ((ELSEWHERE, HOME), False)

    @pytest.mark.parametrize(("away", "home"), [(0, HOME), (1, HOME), (2, None), (10, None), (90, ELSEWHERE)])
    async def test_home(self, desk: Desk, away: int, home: TenantId | None) -> None:
        """A domain is at home where nine tenths of its known members are."""
        await desk.install(HOME, ELSEWHERE)
        for number in range(10):
            await desk.know(f"U{number}", f"home{number}@x.example")
        for number in range(away):
            await desk.know(f"V{number}", f"away{number}@x.example", tenant=ELSEWHERE)

        placed = (await desk.resolver().choose_tenant(ENTRY, [ANN]))[ANN]

        assert placed.home == home

    async def test_another_domain(self, desk: Desk) -> None:
        """Each domain has its own home, and a domain that nobody has has none."""
        await desk.install(HOME, ELSEWHERE)
        await desk.know("U1", "bob@x.example")
        await desk.know("U2", "bob@y.example", tenant=ELSEWHERE)
        addresses = [ANN, "ann@y.example", "ann@z.example", "no address"]

        placed = await desk.resolver().choose_tenant(ENTRY, addresses)

        assert [placed[each].home for each in addresses] == [HOME, ELSEWHERE, None, None]

    async def test_nobody_proves_their_own_domain(self, desk: Desk) -> None:
        """One's own address does not make a tenant one's home: another tenant may have it as well."""
        await desk.install(HOME, ELSEWHERE)
        await desk.know("U1", tenant=ELSEWHERE)
        resolver = desk.resolver()
        alone = (await resolver.choose_tenant(ENTRY, [ANN]))[ANN]
        await desk.know("U2", "bob@x.example", tenant=ELSEWHERE)
        among_others = (await resolver.choose_tenant(ENTRY, [ANN]))[ANN]

        assert (alone.tenants, alone.home) == ((ELSEWHERE, HOME), None)
        assert (among_others.tenants, among_others.home) == ((ELSEWHERE, HOME), ELSEWHERE)

    async def test_counted_again(self, desk: Desk) -> None:
        """Few members are counted each time; many are counted again after some minutes."""
        await desk.install(HOME, ELSEWHERE)
        resolver = desk.resolver()
        homes = []
        for tenant, count, later in ((HOME, 1, 0.0), (ELSEWHERE, MANY, 0.0), (HOME, MANY, 0.0), (HOME, MANY, 301.0)):
            await desk.know("U1", *(f"{each}@x.example" for each in range(count)), tenant=tenant)
            desk.now += later
            homes.append((await resolver.choose_tenant(ENTRY, [ANN]))[ANN].home)

        assert homes == [HOME, ELSEWHERE, ELSEWHERE, None]

    async def test_became_a_guest(self, desk: Desk) -> None:
        """A member who became a guest, or left, says nothing more about whose domain it is."""
        await desk.install(HOME, ELSEWHERE)
        await desk.know("U1", "bob@x.example")
        await desk.know("U1", "bob@x.example", kind="guest")
        await desk.know("U2", "eve@x.example")
        await desk.know("U2", "eve@x.example", disabled=True)

        assert (await desk.resolver().choose_tenant(ENTRY, [ANN]))[ANN].home is None

    @pytest.mark.parametrize("how", ["event", "listing"])
    async def test_left(self, desk: Desk, how: str) -> None:
        """Whoever an event or a listing says to be gone counts for no domain any more."""
        await desk.install(HOME, ELSEWHERE)
        await desk.know("U1", "bob@x.example")
        lane = {"bot_id": BOT, "channel": "msteams", "tenant_id": HOME}
        async with desk.database.write() as tx:
            if how == "event":
                await directory.set_disabled(tx, **lane, user_id="U1", disabled=True, now=desk.now)
            else:
                listing = await mirrors.begin_listing(tx, **lane)
                await mirrors.disable_unseen(tx, **lane, listing=listing, source="install")

        assert (await desk.resolver().choose_tenant(ENTRY, [ANN]))[ANN].home is None

    async def test_the_others_follow_for_ids(self, desk: Desk) -> None:
        """The same for a channel user id."""
        await desk.install("T0", HOME, ELSEWHERE)
        await desk.refer("U1", tenant=ELSEWHERE)

        placed = await desk.resolver().tenants_of_ids(ENTRY, ["U1"])

        assert placed["U1"].tenants == (ELSEWHERE, "T0", HOME)
