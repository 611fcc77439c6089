"""Who is asked about one person before anything is sent, and what is said when somebody could not be asked."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest

from adapters.base import ChannelName, TenantId
from identity.answers import LookupFailed, NotAsked
from identity.resolver import FRESH_SECONDS, Resolver
from notify import lookups
from notify.disclosures import Disclosures
from notify.dry_run import DryRun
from notify.lookups import LookUpChore, LookUps
from notify.prospects import Prospect, Prospects, Question, Side, Standing
from storage import chores, installations, misses
from storage.engine import Database
from storage.installations import Installation
from tests.integration.notify.kit import (
    BOT,
    ELSEWHERE,
    HOME,
    REVOKED,
    UNREACHABLE,
    People,
    Platform,
    Server,
    crowd,
    soon,
)
from tests.integration.notify.kit import serving as served

ANN = "ann@x.example"
THIRD = TenantId("T3")
GUID = "00000000-0000-4000-8000-000000000001"


@dataclass
class Desk:
    """A server that is asked about people; `haste`: so many times faster passes the time that somebody waits."""

    server: Server
    people: People
    installing: bool = False
    haste: float = 1.0

    def dry_run(self) -> DryRun:
        """What the API asks."""
        name = self.server.platform.name
        installing = frozenset({BOT}) if self.installing else frozenset()
        resolver = Resolver(self.server.database, self.people, clock=self.server.wall, installing=installing)
        sides = {name: Side(resolver, self.server.platform.pace())}
        look_ups = LookUps(
            self.server.database, wake=self.server.runner.wake, clock=lambda: time.monotonic() * self.haste
        )
        disclosures = Disclosures(self.server.database, b"k" * 32, clock=self.server.wall)
        return DryRun(Prospects(self.server.database, sides), look_ups, sides, self.server.runner.traffic, disclosures)

    async def explain(self, identity: str = ANN, *, look_up: bool = True, by_id: bool = False) -> Prospect:
        """How one person stands."""
        kind = "donotresolve" if by_id else "resolve"
        question = Question(BOT, self.server.platform.name, kind, [identity])
        return (await self.dry_run().explain(question, "cs-1", look_up=look_up)).prospect


@asynccontextmanager
async def serving(database: Database, *tenants: str, platform: Platform | None = None) -> AsyncIterator[Desk]:
    """A desk whose bot is installed in these tenants."""
    people = People()
    chore = LookUpChore(Resolver(database, people, clock=time.time))
    async with served(database, platform, people, chores={lookups.KIND: chore}) as server:
        await server.install(*tenants)
        yield Desk(server, people)


def steps(prospect: Prospect) -> list[str]:
    """What the trace says."""
    return [step.result for step in prospect.trace]


class TestWhoIsAsked:
    async def test_where_they_talked(self, database: Database) -> None:
        """Whoever turned to the bot somewhere is asked for there, and nowhere else."""
        async with serving(database, HOME, ELSEWHERE, THIRD) as desk:
            desk.people.add(ELSEWHERE, ANN)
            await desk.server.know([ANN], ELSEWHERE)
            await desk.server.write_to([ANN], ELSEWHERE)
            found = await desk.explain()

        assert (found.standing, found.tenant) == (Standing.REACHABLE, ELSEWHERE)
        assert desk.people.asked == [(ELSEWHERE, ANN)]

    async def test_at_home(self, database: Database) -> None:
        """Whoever is found in the home tenant of their domain is asked for nowhere else."""
        async with serving(database, HOME, ELSEWHERE, THIRD) as desk:
            desk.people.add(ELSEWHERE, ANN)
            await desk.server.know(crowd(12), ELSEWHERE)
            found = await desk.explain()

        assert (found.standing, found.tenant) == (Standing.REACHABLE, ELSEWHERE)
        assert desk.people.asked == [(ELSEWHERE, ANN)]

    async def test_not_at_home(self, database: Database) -> None:
        """Whoever is not there is asked for in all others, each once."""
        async with serving(database, HOME, ELSEWHERE, THIRD) as desk:
            desk.people.add(THIRD, ANN)
            await desk.server.know(crowd(12), ELSEWHERE)
            found = await desk.explain()

        assert (found.standing, found.tenant) == (Standing.REACHABLE, THIRD)
        assert desk.people.asked[0] == (ELSEWHERE, ANN)
        assert sorted(desk.people.asked) == [(HOME, ANN), (ELSEWHERE, ANN), (THIRD, ANN)]

    async def test_one_organisation(self, database: Database) -> None:
        """Found in one workspace of an organisation, the others of it are not asked; not found there, they are."""
        async with serving(database, THIRD) as desk:
            desk.people.add(HOME, ANN)
            async with database.write() as tx:
                for tenant in (HOME, ELSEWHERE):
                    await installations.save(tx, Installation(BOT, "slack", tenant, 2.0, "E1"), 2.0)
            found = await desk.explain()
            asked = sorted(tenant for tenant, _ in desk.people.asked)
            nobody = await desk.explain("bob@x.example")

        assert (found.standing, found.tenant, asked) == (Standing.REACHABLE, HOME, [HOME, THIRD])
        assert nobody.standing is Standing.UNREACHABLE
        assert {tenant for tenant, email in desk.people.asked if email != ANN} == {HOME, ELSEWHERE, THIRD}

    async def test_very_many(self, database: Database) -> None:
        """Forty tenants answer within the ten seconds that somebody waits, each asked once."""
        tenants = [f"T{number}" for number in range(40)]
        async with serving(database, *tenants) as desk:
            begun = time.monotonic()
            found = await desk.explain()

        assert time.monotonic() - begun < lookups.WAIT_SECONDS
        assert (found.standing, found.reason) == (Standing.UNREACHABLE, "person_not_found")
        assert sorted(desk.people.asked) == sorted((tenant, ANN) for tenant in tenants)

    async def test_known_nowhere(self, database: Database) -> None:
        """However many tenants there are, who is stored as nobody in all of them is unreachable."""
        tenants = [f"T{number}" for number in range(70)]
        async with serving(database, *tenants) as desk:
            async with database.write() as tx:
                for tenant in tenants:
                    now = desk.server.wall()
                    await misses.remember(
                        tx,
                        bot_id=BOT,
                        channel="slack",
                        tenant_id=tenant,
                        reasons=[(ANN, "person_not_found")],
                        now=now,
                        until=now + 60.0,
                    )
            found = await desk.explain(look_up=False)

        assert (found.standing, found.reason) == (Standing.UNREACHABLE, "person_not_found")


class TestNoAnswer:
    async def test_in_time(self, database: Database) -> None:
        """A tenant that says nothing is waited for ten seconds in all, and is named."""
        async with serving(database, HOME) as desk:
            desk.people.hold(HOME)
            desk.haste = 10.0
            begun = time.monotonic()
            found = await desk.explain()

        assert 0.9 < time.monotonic() - begun < 3.0
        assert (found.standing, found.remedy) == (Standing.NOT_LOOKED_UP, "No answer within 10 seconds: ask again.")

    async def test_somebody_stored(self, database: Database) -> None:
        """Who is stored is reachable, and the trace says that nobody answered."""
        async with serving(database, HOME) as desk:
            await desk.server.know([ANN])
            desk.people.hold(HOME)
            desk.haste = 10.0
            found = await desk.explain()

        assert found.standing is Standing.REACHABLE
        assert steps(found) == ["no answer within 10 seconds", "found"]

    async def test_failed(self, database: Database) -> None:
        """A look-up that failed is told with its code, also where somebody is stored."""
        async with serving(database, HOME) as desk:
            await desk.server.know([ANN])
            desk.people.failures[ANN].append(LookupFailed(UNREACHABLE, 1.0))
            found = await desk.explain()

        assert found.standing is Standing.REACHABLE
        assert [(step.result, step.code) for step in found.trace] == [
            ("platform_unreachable", "refused"),
            ("found", ""),
        ]

    async def test_failed_for_a_stranger(self, database: Database) -> None:
        """What stood in the way is named, and who is to be asked again."""
        async with serving(database, HOME, ELSEWHERE) as desk:
            desk.people.failures[ANN].append(LookupFailed(UNREACHABLE, 1.0))
            found = await desk.explain()

        assert (found.standing, found.reason, found.code) == (Standing.NOT_LOOKED_UP, "platform_unreachable", "refused")

    async def test_at_fault(self, database: Database) -> None:
        """A tenant at fault counts as not knowing whom another tenant has, as for a delivery."""
        async with serving(database, HOME, ELSEWHERE) as desk:
            desk.people.add(ELSEWHERE, ANN)
            desk.people.add(HOME, ANN)
            desk.people.failures[ANN].append(LookupFailed(REVOKED, 60.0))
            found = await desk.explain()

        assert found.standing is Standing.REACHABLE
        assert any(step.code == "token_revoked" for step in found.trace)

    @pytest.mark.parametrize("look_up", [True, False])
    async def test_switched_off(self, database: Database, look_up: bool) -> None:
        """Where nobody can be asked, the stored person is used as a send uses them: unconfirmed."""
        async with serving(database, HOME) as desk:
            desk.server.wall.ahead = -FRESH_SECONDS - 60.0
            await desk.server.know([ANN])
            desk.server.wall.ahead = 0.0
            desk.people.off = desk.people.known[HOME, ANN] = NotAsked("Switch it on.")
            found = await desk.explain(look_up=look_up)

        assert found.standing is Standing.REACHABLE
        assert any(step.startswith("used unconfirmed") for step in steps(found))

    async def test_switched_off_for_a_stranger(self, database: Database) -> None:
        """Where nobody can be asked, a stranger is unreachable, with the remedy."""
        async with serving(database, HOME) as desk:
            desk.people.off = NotAsked("Switch it on.")
            found = await desk.explain(look_up=False)

        assert (found.standing, found.remedy) == (Standing.UNREACHABLE, "Switch it on.")


class TestGivenUp:
    async def test_nobody_waits(self, database: Database) -> None:
        """A look-up that gets no turn ends when nobody can be waiting for it any more, and the row with it."""
        people = People()
        people.hold(HOME)
        resolver = Resolver(database, people, clock=time.time)
        chore = LookUpChore(resolver, seconds=0.2)
        async with served(database, None, people, chores={lookups.KIND: chore}) as server:
            await server.install(HOME)
            async with database.write() as tx:
                await chores.add(
                    tx,
                    bot_id=BOT,
                    channel="slack",
                    tenant_id=HOME,
                    kind=lookups.KIND,
                    key="left behind",
                    detail={"email": ANN},
                    at=lookups.FIRST,
                )
            server.runner.wake(server.lane())
            await soon(people.held[HOME], "it was asked")
            await server.idle()

            async with database.read() as tx:
                assert await chores.next_due(tx, bot_id=BOT, channel="slack", tenant_id=HOME) is None


class TestIds:
    async def test_never_seen(self, database: Database) -> None:
        """An id that nobody has seen is used as it is, and said not to be checked."""
        async with serving(database, HOME) as desk:
            await desk.server.know([ANN])
            await desk.server.write_to([ANN])
            seen = await desk.explain("UANN", look_up=False, by_id=True)
            unseen = await desk.explain("UNOBODY99", look_up=False, by_id=True)

        assert (seen.standing, seen.unseen) == (Standing.REACHABLE, False)
        assert (unseen.standing, unseen.unseen) == (Standing.REACHABLE, True)
        assert steps(unseen)[-1] == "not checked: used as given"

    @pytest.mark.parametrize(
        ("user", "standing"), [("29:abc", Standing.IF_INSTALLED), (GUID, Standing.WILL_BE_INSTALLED)]
    )
    async def test_installs(self, database: Database, user: str, standing: Standing) -> None:
        """Herald installs the app by the Entra object id alone."""
        async with serving(database, HOME, platform=Platform(ChannelName.MSTEAMS)) as desk:
            desk.installing = True
            found = await desk.explain(user, look_up=False, by_id=True)

        assert found.standing is standing
        assert (found.remedy is not None) == (standing is Standing.IF_INSTALLED)
