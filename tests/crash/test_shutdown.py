"""The operator stops the server while it sends."""

from __future__ import annotations

import signal
import time

from tests.crash.judge import IN_FLIGHT, Scene, mixed_people, verdict

GRACE = 4.0  # the harness's settings


class TestTerm:
    async def test_keeps_answers(self, scene: Scene) -> None:
        """X23: SIGTERM under load lets the answers in flight arrive, writes them, and ends with 0 within the grace."""
        people = mixed_people(scene.platforms)
        await scene.prepare(people)
        server = scene.start()
        herald = await server.listening()
        slow = await scene.platforms.send_fault(scene.channel, delay=0.4)
        request = await scene.post(herald, people.identities)
        await scene.platforms.fired(slow, IN_FLIGHT + 1)
        began = time.monotonic()
        server.signal(signal.SIGTERM)
        code = await server.ended()
        took = time.monotonic() - began
        doubtful = await scene.in_doubt()
        await scene.platforms.heal()

        record = await scene.finish(request, people.identities)

        assert 0 == code
        assert took < GRACE
        assert set() == doubtful
        assert [] == await verdict(scene, record, people.identities)

    async def test_second_signal(self, scene: Scene) -> None:
        """X23: a second SIGTERM leaves at once; what was on the wire is in doubt, and nothing else."""
        people = mixed_people(scene.platforms)
        await scene.prepare(people)
        server = scene.start()
        herald = await server.listening()
        hanging = await scene.platforms.send_fault(scene.channel, hang=True, skip=4)
        request = await scene.post(herald, people.identities)
        await scene.platforms.fired(hanging, IN_FLIGHT)
        server.signal(signal.SIGTERM)
        await server.until("stopping")
        began = time.monotonic()
        server.signal(signal.SIGTERM)
        code = await server.ended()
        took = time.monotonic() - began
        doubtful = await scene.in_doubt()
        await scene.platforms.heal()

        record = await scene.finish(request, people.identities)

        assert 1 == code
        assert took < GRACE / 4
        assert IN_FLIGHT == len(doubtful)
        assert [] == await verdict(scene, record, people.identities, doubtful=doubtful)

    async def test_grace_ends(self, scene: Scene) -> None:
        """X23: what does not answer within the grace is in doubt, and the server does not wait for it any longer."""
        people = mixed_people(scene.platforms)
        await scene.prepare(people)
        server = scene.start(server={"shutdown_grace_seconds": 1.0})
        herald = await server.listening()
        hanging = await scene.platforms.send_fault(scene.channel, hang=True, skip=4)
        request = await scene.post(herald, people.identities)
        await scene.platforms.fired(hanging, IN_FLIGHT)
        began = time.monotonic()
        server.signal(signal.SIGTERM)
        await server.ended()
        took = time.monotonic() - began
        doubtful = await scene.in_doubt()
        await scene.platforms.heal()

        record = await scene.finish(request, people.identities)

        assert took < 1.0 + 1.0
        assert IN_FLIGHT == len(doubtful)
        assert [] == await verdict(scene, record, people.identities, doubtful=doubtful)
