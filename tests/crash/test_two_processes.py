"""Two servers on one database: SQLite refuses the second; on PostgreSQL both work, and outlive each other."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import pytest

from tests.crash.child import PATIENCE, Servers, until
from tests.crash.judge import IN_FLIGHT, Scene, mixed_people, unconfirmed, verdict
from tests.harness.platforms import MSTEAMS, SLACK, Platforms

CLAIM_SECONDS = 2.0


@pytest.fixture
def database_kind() -> str:
    """Several servers need PostgreSQL."""
    return "postgresql"


class TestSqlite:
    async def test_second_refuses(self, platforms: Platforms, processes: Servers, tmp_path: Path) -> None:
        """X22: the second server on one SQLite file says why it does not start, ends with 1, and disturbs nobody."""
        scene = Scene(SLACK, platforms, processes, tmp_path, f"sqlite:///{tmp_path / 'herald.db'}")
        first = scene.start()
        herald = await first.listening()
        second = scene.start()

        code = await second.ended()

        people = platforms.emails(5)
        request = await scene.post(herald, people)
        assert request is not None
        record = await herald.final(request)
        assert 4 == code  # what the command line says for a trouble that a person must mend
        assert "in use by another Herald process; stop it, or use PostgreSQL to run several" in second.text()
        assert [] == await verdict(scene, record, people)


class TestBothWork:
    async def test_side_by_side(self, scene: Scene) -> None:
        """X22: two servers take requests at the same time, and everybody gets each message once."""
        people = mixed_people(scene.platforms)
        await scene.prepare(people)
        pair = [await scene.start(server={"claim_seconds": CLAIM_SECONDS}).listening() for _ in range(2)]
        texts = ["first", "second", "third", "fourth"]

        records = await asyncio.gather(
            *(pair[n % 2].deliver(scene.channel, people.identities, text) for n, text in enumerate(texts))
        )

        boxes = [(m["email"], m["body"]["text"]) for m in await scene.platforms.messages(scene.channel)]
        reachable = {*people.stored, *people.cold}
        assert {"PARTIAL_SUCCESS"} == {record["status"] for record in records}
        assert sorted((each, text) for each in reachable for text in texts) == sorted(
            (email.lower(), text) for email, text in boxes if text in texts
        )

    async def test_neighbour_dies(self, scene: Scene) -> None:
        """X22: when one is killed the other goes on with its work, long before the claim would have ended."""
        people = mixed_people(scene.platforms)
        await scene.prepare(people)
        dying = scene.start(server={"claim_seconds": 600.0})
        hanging = await scene.platforms.send_fault(scene.channel, hang=True, skip=6)
        request = await scene.post(await dying.listening(), people.identities)
        await scene.platforms.fired(hanging, IN_FLIGHT)
        survivor = await scene.start().listening()
        await dying.kill()
        doubtful = await scene.in_doubt()
        await scene.platforms.heal()
        assert request is not None

        record = await survivor.final(request, seconds=60.0)

        assert [] == await verdict(scene, record, people.identities, doubtful=doubtful)


class TestFrozen:
    @pytest.mark.parametrize("name", ["lane.claimed", "intent.committed", "wire.before", "wire.answered"])
    async def test_wakes_too_late(self, scene: Scene, name: str) -> None:
        """X22: a server that freezes beyond its claim and wakes again sends nothing that its successor has sent."""
        people = mixed_people(scene.platforms)
        await scene.prepare(people)
        claims = {"claim_seconds": CLAIM_SECONDS}
        accepting = scene.start(server={"drain": False})
        request = await scene.post(await accepting.listening(), people.identities)
        await accepting.kill()
        frozen = scene.start(f"{name}:{1 if name == 'lane.claimed' else 6}:freeze", server=claims)
        await frozen.frozen()
        doubtful = await scene.in_doubt()
        successor = await scene.start(server=claims).listening()
        assert request is not None
        record = await successor.final(request, seconds=60.0)
        frozen.signal(signal.SIGCONT)

        awake = await frozen.listening()
        if name != "lane.claimed":  # that one may have been the entry lane, which nobody else wanted
            await until(lambda: frozen.logged("lane_frozen") or frozen.logged("lane_lost"), PATIENCE, frozen.text)
        afterwards = await awake.deliver(scene.channel, people.stored, "Afterwards")

        again = await successor.status(request)
        assert "SUCCESS" == afterwards["status"]
        assert len(doubtful) <= IN_FLIGHT
        assert record["statusLogs"] == again["statusLogs"]
        assert (doubtful if scene.channel == MSTEAMS else set()) == unconfirmed(again)
        assert [] == await verdict(scene, again, people.identities, doubtful=doubtful)
