"""X21: a request of 1000 people, and a server that is killed again and again while it sends it.

Each seed decides when and where the server dies: at a moment after its start, or at a named moment of its own. The
seed of a failed run is in the test's name; `HERALD_SOAK_SEED=7` runs that one alone, `HERALD_SOAK_SEEDS=20` so many.
`HERALD_SOAK_DEATHS=50` lets each seed die so often instead of a few times; seed 16 does always.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from storage.failpoints import POINTS
from tests.crash.child import Ended, Server, Servers
from tests.crash.judge import Scene, blind_bot, verdict
from tests.harness.oracle import outcomes
from tests.harness.platforms import MSTEAMS, SLACK, Platforms, simulated

PEOPLE = 1000
STRANGERS = 12
SECONDS = 240.0
OFTEN, OFTEN_DEATHS = 16, 50  # this seed dies as often as X21 says; the others leave time for more of them
ANYWHERE = [name for name in POINTS if name.split(".")[0] in ("lane", "resolve", "intent", "wire", "record")]


@dataclass(frozen=True, slots=True)
class Kind:
    """On which platform and database a seed runs."""

    channel: str
    database: str
    may_look: bool = False
    in_flight: int = 8
    deaths: int = int(os.environ.get("HERALD_SOAK_DEATHS", "8"))


KINDS = (
    Kind(MSTEAMS, "sqlite"),
    Kind(SLACK, "postgresql"),
    Kind(MSTEAMS, "sqlite"),
    Kind(SLACK, "sqlite", may_look=True, in_flight=1, deaths=6),  # Slack lets us look fifty times a minute
    Kind(MSTEAMS, "postgresql"),
    Kind(SLACK, "sqlite"),
    Kind(MSTEAMS, "sqlite"),
    Kind(SLACK, "postgresql", may_look=True, in_flight=1, deaths=6),  # Slack lets us look fifty times a minute
)


def _seeds() -> list[int]:
    single = os.environ.get("HERALD_SOAK_SEED")
    if single is not None:
        return [int(single)]
    return list(range(int(os.environ.get("HERALD_SOAK_SEEDS", "1"))))


@pytest.fixture(params=_seeds())
def seed(request: pytest.FixtureRequest) -> int:
    """What decides everything that is left to chance."""
    number: int = request.param
    return number


@pytest.fixture
def database_kind(seed: int) -> str:
    """The engine of this seed."""
    return KINDS[seed % len(KINDS)].database


@pytest.fixture
async def platforms() -> AsyncIterator[Platforms]:
    """Enough people for the request, and some more."""
    async with simulated(people=PEOPLE + 40) as opened:
        yield opened


class TestSoak:
    @pytest.mark.timeout(SECONDS + 60)
    async def test_killed_again_and_again(
        self, seed: int, platforms: Platforms, processes: Servers, tmp_path: Path, database_url: str
    ) -> None:
        """X21: killed up to 50 times at random, everybody of 1000 has at most one copy and exactly one true result."""
        kind, chance = KINDS[seed % len(KINDS)], random.Random(seed)
        scene = await _scene(kind, Scene(kind.channel, platforms, processes, tmp_path, database_url))
        people = [person.email for person in platforms.people(PEOPLE - STRANGERS)]
        identities = [*people, *(f"nobody.{number}@soak.example" for number in range(STRANGERS))]
        chance.shuffle(identities)
        wanted = OFTEN_DEATHS if seed == OFTEN else kind.deaths
        request, doubtful, on_the_wire, deaths = None, set[str](), [0], 0

        async with asyncio.timeout(SECONDS):
            while deaths < wanted and not await _is_closed(scene):
                server = scene.start(_failpoint(chance))
                request = request or await scene.post_while_alive(server, identities)
                await _die(server, chance)
                deaths += 1
                doubtful |= await scene.in_doubt()
                on_the_wire.append(len(await scene.query("SELECT id FROM deliveries WHERE state = 'sending'")))
            record = await scene.finish(request, identities, seconds=SECONDS)

        found = await verdict(scene, record, identities, doubtful=doubtful)
        print(f"seed {seed}: {kind.channel}, {kind.database}, {deaths} deaths: {dict(outcomes(record))}")  # noqa: T201
        assert [] == found
        assert max(on_the_wire) <= kind.in_flight


async def _scene(kind: Kind, scene: Scene) -> Scene:
    """The platform as this kind wants it."""
    pace = {"teams_in_flight": kind.in_flight, "slack_in_flight": kind.in_flight}
    scene.sections = {"pace": pace, "delivery": {"max_attempts": 100}}
    await scene.prepare_people()
    if kind.channel == SLACK and not kind.may_look:
        scene.bots, scene.may_look = [await blind_bot(scene.platforms)], False
    return scene


async def _is_closed(scene: Scene) -> bool:
    rows = await scene.query("SELECT status FROM requests")
    return bool(rows) and all(row["status"] != "IN_PROGRESS" for row in rows)


def _failpoint(chance: random.Random) -> str:
    """A named moment for every second life."""
    return "" if chance.random() < 0.5 else f"{chance.choice(ANYWHERE)}:{chance.randint(1, 40)}"


async def _die(server: Server, chance: random.Random) -> None:
    """Die some time after the start; earlier, if the failpoint comes first."""
    try:
        await server.listening()
    except Ended:
        return
    try:
        async with asyncio.timeout(chance.uniform(0.0, 0.4)):
            await server.ended()
    except TimeoutError:
        await server.kill()
