"""How soon a killed server goes on: from its start to the first message that was left over."""

from __future__ import annotations

import asyncio
import sys
import time

from storage.lifesign import FORGETFUL_SECONDS
from tests.crash.child import PATIENCE
from tests.crash.judge import Scene, mixed_people, verdict
from tests.harness.herald import ROOT, children
from tests.harness.platforms import MSTEAMS

PROMISED_SECONDS = 3.0
ALLOWED_SECONDS = 6.0  # for machines that do other things as well
QUIET_IMPORT_SECONDS = 1.3  # of the application, in a fresh interpreter on a machine that does nothing else


class TestRestart:
    async def test_first_message(self, scene: Scene) -> None:
        """A killed server, started again, sends what was left over within 3 s, however fresh its claims are.

        The allowance grows with the time that the machine needs now for the imports alone.
        """
        people = mixed_people(scene.platforms)
        await scene.prepare(people)
        dying = scene.start("wire.answered:6")
        request = await scene.post_while_alive(dying, people.identities)
        await dying.killed()
        await _past_the_databases_own_start(scene)
        before = len(await scene.messages())
        slowness = max(1.0, await _import_seconds() / QUIET_IMPORT_SECONDS)
        async with children(scene.config()) as starter:
            began = time.monotonic()
            starting = asyncio.create_task(starter.start())
            async with asyncio.timeout(PATIENCE):
                while len(await scene.messages()) == before:  # noqa: ASYNC110 - the mailboxes are polled
                    await asyncio.sleep(0.01)
            took = time.monotonic() - began
            _, herald = await starting
            assert request is not None
            record = await herald.final(request, seconds=60.0)

        print(f"{took:.2f} s from start to first message; promised {PROMISED_SECONDS}, slowness {slowness:.1f}")  # noqa: T201
        assert took < ALLOWED_SECONDS * slowness
        assert [] == await verdict(
            scene, record, people.identities, doubtful=people.identities if scene.channel == MSTEAMS else ()
        )


async def _import_seconds() -> float:
    began = time.monotonic()
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", "import app", cwd=ROOT)
    await process.wait()
    return time.monotonic() - began


async def _past_the_databases_own_start(scene: Scene) -> None:
    """A PostgreSQL that has just started is given time to hear from those who live; wait until that is over."""
    if scene.database_url.startswith("sqlite"):
        return
    question = "SELECT extract(epoch FROM clock_timestamp() - pg_postmaster_start_time())::float8 AS age"
    async with asyncio.timeout(PATIENCE):
        while (await scene.query(question))[0]["age"] <= FORGETFUL_SECONDS:  # noqa: ASYNC110 - its clock is asked
            await asyncio.sleep(0.05)
