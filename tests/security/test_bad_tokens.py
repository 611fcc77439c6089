"""S09: who sends bad tokens waits for the answers, and nobody else waits for anything."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any

import aiohttp
import pytest

from adapters.tally import Tally
from notify.slowdown import Crowded, Pause, Slowdown
from notify.strangers import Strangers
from tests.contract.face import Answer, Face, running, token

BAD = token(key="another secret of a backend, also long enough to be used here")
CREDENTIALS = (401, 4002, "Invalid SDK credentials")
TOO_MANY = (429, 429, "Too many calls with invalid tokens: correct the token and try again later")


async def timed(face: Face, **options: Any) -> tuple[float, Answer]:
    started = time.monotonic()
    answer = await face.send(**options)
    return time.monotonic() - started, answer


def is_full(slowdown: Slowdown) -> bool:
    """Whether no further answer could wait."""
    verdict = slowdown.strike("192.0.2.1", time.monotonic())
    if isinstance(verdict, Pause):
        slowdown.leave()
    return isinstance(verdict, Crowded)


async def until_full(slowdown: Slowdown, full: bool = True) -> None:
    async with asyncio.timeout(10):
        while is_full(slowdown) is not full:  # noqa: ASYNC110 - the server has no event for it
            await asyncio.sleep(0.01)


async def test_s09_late() -> None:
    """S09: beyond the free ones an answer is late, but the same; good tokens from the same address do not wait."""
    async with running(strangers=Strangers(free=2)) as face:
        free = [await timed(face, auth=BAD) for _ in range(2)]
        late = asyncio.create_task(timed(face, auth="abc"))
        good = [await timed(face) for _ in range(3)]
        was_waiting = not late.done()
        seconds, answer = await late

    assert [CREDENTIALS] * 2 == [each.refusal for _, each in free]
    assert [200] * 3 == [each.status for _, each in good]
    assert was_waiting
    assert seconds >= 0.5
    assert answer.refusal == (401, 4002, "Invalid JWT token")


async def test_s09_crowded() -> None:
    """S09: where no further answer can wait it is a 429 at once with Retry-After, and good tokens still pass."""
    slowdown = Slowdown(free=0, places=2)
    async with running(strangers=Strangers(slowdown=slowdown)) as face:
        waiting = [asyncio.create_task(face.send(auth=BAD)) for _ in range(2)]
        await until_full(slowdown)
        crowded, good = await face.send(auth=BAD), await face.send()
        answers = await asyncio.gather(*waiting)

    assert crowded.refusal == TOO_MANY
    assert crowded.headers["Retry-After"] == "5"
    assert good.status == 200
    assert [CREDENTIALS] * 2 == [answer.refusal for answer in answers]


async def test_s09_hung_up() -> None:
    """S09: a caller who hangs up gives the place back long before the answer is due."""
    slowdown = Slowdown(free=0, places=1)
    for _ in range(20):
        slowdown.strike("127.0.0.1", time.monotonic())  # the next answer is five seconds late
        slowdown.leave()
    async with running(strangers=Strangers(slowdown=slowdown)) as face:
        async with aiohttp.ClientSession() as leaving:
            held = asyncio.create_task(Face(face.url, leaving, face.requests).send(auth=BAD))
            await until_full(slowdown)
            held.cancel()
        left = time.monotonic()
        await until_full(slowdown, full=False)

    assert time.monotonic() - left < 3.0


async def test_s09_known_callers_do_not_wait() -> None:
    """S09: a client that asks for a bot or with a scope that is not its own is no guesser, and never waits."""
    slowdown = Slowdown(free=0, places=0)
    async with running(strangers=Strangers(slowdown=slowdown)) as face:
        answers = [await face.send(auth=token(client="cs-reader")) for _ in range(3)]

    assert {"Permission denied. Scope is incorrect!"} == {answer.refusal[2] for answer in answers}


async def test_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """A flood of bad tokens is five lines a minute and one with the count of the others; no token is in any."""
    now = [1000.0]
    async with running(strangers=Strangers(free=100, clock=lambda: now[0])) as face:
        with caplog.at_level(logging.WARNING, "herald.auth"):
            for _ in range(8):
                await face.send(auth=BAD)
            now[0] += 60
            await face.send(auth="abc")
    said = [(vars(each)["action"], vars(each).get("reason"), vars(each).get("count")) for each in caplog.records]

    assert [("caller_refused", "signature", None)] * 5 == said[:5]
    assert [("callers_refused", None, 3), ("caller_refused", "not_a_jwt", None)] == said[5:]
    assert {"127.0.0.1"} == {vars(each)["address"] for each in caplog.records}
    assert BAD.rpartition(".")[2] not in str([vars(each) for each in caplog.records])


async def test_the_log_of_a_flood_that_ended(caplog: pytest.LogCaptureFixture) -> None:
    """The count of a flood is written when its minute is over, although nobody comes any more."""
    async with running(strangers=Strangers(free=100, tally=Tally(lines=1, window=0.5))) as face:
        await asyncio.gather(*(face.send(auth="abc") for _ in range(4)))
        async with asyncio.timeout(10):
            while "callers_refused" not in (found := [vars(each).get("action") for each in caplog.records]):  # noqa: ASYNC110
                await asyncio.sleep(0.01)

    counts = [vars(each)["count"] for each in caplog.records if vars(each).get("action") == "callers_refused"]
    assert sum(counts) + found.count("caller_refused") == 4
