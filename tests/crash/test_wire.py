"""The process dies while a call is on the wire: the platform has it, has it not, or is in the middle of an answer."""

from __future__ import annotations

from typing import Any

import pytest

from tests.crash.judge import IN_FLIGHT, Scene, mixed_people, unconfirmed, verdict
from tests.harness.platforms import MSTEAMS

WIRES: dict[str, tuple[dict[str, Any], int]] = {
    # how the platform misbehaves, and how many messages it will have stored of those it was sent
    "X07 the platform has only read the head": ({"delay": 2.0}, 0),
    "X07 received, not stored": ({"hang": True}, 0),
    "X08 stored, not answered": ({"stored": True, "hang": True}, 1),
    "X09 stored, answering byte by byte": ({"trickle": 0.2}, 1),
}


class TestOnTheWire:
    @pytest.mark.parametrize("wire", WIRES)
    async def test_dies_there(self, scene: Scene, wire: str) -> None:
        """X07, X08, X09: killed on the wire, one copy at most; found where we may look, else unconfirmed."""
        fault, _ = WIRES[wire]
        people = mixed_people(scene.platforms)
        await scene.prepare(people)
        dying = scene.start()
        herald = await dying.listening()
        armed = await scene.platforms.send_fault(scene.channel, **fault, skip=5, times=IN_FLIGHT)
        request = await scene.post(herald, people.identities)
        await scene.platforms.fired(armed, IN_FLIGHT)
        await dying.kill()
        doubtful = await scene.in_doubt()
        await scene.platforms.heal()

        record = await scene.finish(request, people.identities)

        assert IN_FLIGHT == len(doubtful)
        assert (doubtful if scene.channel == MSTEAMS else set()) == unconfirmed(record)
        assert [] == await verdict(scene, record, people.identities, doubtful=doubtful)

    @pytest.mark.parametrize("wire", WIRES)
    async def test_truth_behind_unconfirmed(self, scene: Scene, wire: str) -> None:
        """X07, X08, X09: `unconfirmed` promises nothing: those people have the message, or they have it not."""
        fault, stored = WIRES[wire]
        people = mixed_people(scene.platforms, stored=3, cold=0)
        await scene.prepare(people)
        dying = scene.start()
        herald = await dying.listening()
        armed = await scene.platforms.send_fault(scene.channel, **fault, times=3)
        request = await scene.post(herald, people.stored)
        await scene.platforms.fired(armed, 3)
        await dying.kill()
        await scene.platforms.heal()
        if stored:
            await scene.platforms.arrived(scene.channel, 2 * 3)

        record = await scene.finish(request, people.stored)

        copies = 3 if scene.channel != MSTEAMS else 3 * stored
        assert copies == len(await scene.messages())
        assert ("FAILURE" if scene.channel == MSTEAMS else "SUCCESS") == record["status"]


class TestTokenRefresh:
    @pytest.mark.parametrize("channel", [MSTEAMS], indirect=True)
    async def test_dies_there(self, scene: Scene) -> None:
        """X20: killed while the token is fetched: nothing left, and only what was about to leave is in doubt."""
        people = mixed_people(scene.platforms)
        await scene.prepare(people)
        hanging = await scene.platforms.fault(platform="entra", operation="token", hang=True)
        dying = scene.start()
        request = await scene.post(await dying.listening(), people.identities)
        await scene.platforms.fired(hanging)
        await dying.kill()
        doubtful = await scene.in_doubt()
        early = await scene.messages()
        await scene.platforms.heal()

        record = await scene.finish(request, people.identities)

        assert [] == early
        assert len(doubtful) <= IN_FLIGHT
        assert doubtful == unconfirmed(record)
        assert [] == await verdict(scene, record, people.identities, doubtful=doubtful)
