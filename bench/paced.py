"""With limits on: how near Herald comes to what a platform allows, and how often it is refused."""

from __future__ import annotations

import asyncio
import heapq
import math
import random
import time
from collections import Counter
from datetime import datetime

from adapters.base import MethodPace
from bench.measure import Row, within
from bench.rig import UNPACED, Herald
from bench.warm import teams
from notify.pacing import Learner, Pacer
from simulator.limits import Bucket

TEAMS_PACE = 48.0
POSTS_PER_SECOND, BURST, IN_FLIGHT = 4.0, 30, 8  # Herald's defaults for Slack
CEILING_PER_MINUTE, HIDDEN_BURST = 230, 30
LANES = 20


async def measure_teams_limits(quick: bool) -> list[Row]:
    """1000 people of one tenant at the documented limit."""
    count = 250 if quick else 1000
    async with teams(count) as world:
        await world.platform.post("/settings", {"limits": True})
        async with world.server(pace={}) as server:
            started, began = time.monotonic(), time.time()
            request = await server.accept("msteams", world.people[0])
            estimates = asyncio.create_task(_estimates(server, request))
            seconds = await server.until_stored() - started
            ended = time.time()
            assert not server.refused()
            errors = [abs(each - ended) / (ended - began) for each in await estimates]
        throttled = await world.platform.throttled()
    what = f"Teams with limits on, {count} warm people"
    return [
        within(what, seconds, 22 * count / 1000, "s", reference=f"{count / TEAMS_PACE:.1f} s at 48/s"),
        within(f"{what}: calls answered 429", float(throttled), 0, ""),
        within(f"{what}: error of the estimated end, worst of {len(errors)}", 100 * max(errors), 10, "%"),
    ]


async def _estimates(server: Herald, request: str) -> list[float]:
    """What the status call says of the end (epoch seconds), from a fifth of the progress on."""
    found = []
    while (status := await server.status(request))["status"] == "IN_PROGRESS":
        if status["percentageComplete"] >= 20:
            moment = datetime.fromisoformat(status["details"]["estimatedCompletion"])
            found.append(moment.timestamp())
        await asyncio.sleep(0.25)
    return found


async def measure_lanes(quick: bool) -> list[Row]:
    """20 lanes at once, each at the pace that was set for it."""
    people = 150 if quick else 400
    async with teams(people, LANES) as world:
        async with world.server(pace={**UNPACED, "teams_requests_per_second": TEAMS_PACE}) as server:
            calls = [server.accept("msteams", each, bot=number) for number, each in enumerate(world.people, 1)]
            await asyncio.gather(*calls)
            await server.until_stored()
            assert not server.refused()
        rows = (await world.platform.get("/counters", arrivals=1))["counters"]
    rates = [_rate(row["arrivals"]) for row in rows if row["operation"] == "send"]
    assert len(rates) == LANES
    slowest = min(rates)
    share = slowest / TEAMS_PACE
    reference = f"set pace: {TEAMS_PACE:g}/s"
    target = "at least 0.95 of the pace in each"
    what = f"{LANES} lanes at 48/s each: the slowest"
    return [Row(what, f"{slowest:.1f}/s", reference, f"{share:.3f}", target, share >= 0.95)]


def _rate(arrivals: list[float]) -> float:
    """Calls a second from the first to the last."""
    return (len(arrivals) - 1) / (arrivals[-1] - arrivals[0])


async def measure_slack_ceiling(quick: bool) -> list[Row]:
    """A ten-minute run in simulated time against a workspace whose ceiling nobody tells."""
    runs = [_ten_minutes(seed) for seed in range(5)]
    worst_rate = min(passed for passed, _ in runs)
    worst_share = max(refused for _, refused in runs)
    share = worst_rate / CEILING_PER_MINUTE
    what = "Slack, hidden ceiling of 230 a minute"
    return [
        Row(
            f"{what}: last five minutes",
            f"{worst_rate:.0f}/min",
            f"ceiling: {CEILING_PER_MINUTE}/min",
            f"{share:.3f}",
            "at least 0.95 times",
            share >= 0.95,
        ),
        within(f"{what}: calls answered 429", 100 * worst_share, 1, "%"),
    ]


def _ten_minutes(seed: int) -> tuple[float, float]:
    """(calls a minute that passed in the last five minutes, share of all calls that were answered 429).

    Nothing but the pacer and the platform's bucket: every call takes 50 to 250 ms, and eight may be on the wire.
    """
    dice, now = random.Random(seed), 0.0
    platform = Bucket(CEILING_PER_MINUTE / 60, HIDDEN_BURST)
    learner = Learner.begin(POSTS_PER_SECOND, now)
    pacer = Pacer("post", {"post": MethodPace(POSTS_PER_SECOND, BURST)}, now, learner)
    answers: list[tuple[float, int, float | None]] = []  # when, a number, and how long to wait
    counted: Counter[str] = Counter()
    while now < 600.0:
        while len(answers) < IN_FLIGHT and pacer.send.available(now, 1):
            pacer.took_send(now, 1)
            wait = platform.take(now)
            counted["all"] += 1
            counted["refused"] += wait is not None
            counted["late"] += wait is None and now >= 300.0
            retry_after = None if wait is None else float(max(1, math.ceil(wait)))
            heapq.heappush(answers, (now + dice.uniform(0.05, 0.25), counted["all"], retry_after))
        moments = [answers[0][0]] if answers else []
        if len(answers) < IN_FLIGHT:
            moments.append(pacer.send.ready_at(now))
        now = max(min(moments), now + 1e-6)
        while answers and answers[0][0] <= now:
            retry_after = heapq.heappop(answers)[2]
            if retry_after is not None:
                pacer.hold("post", now, retry_after, lesson=True)
            else:
                pacer.send.went_well()
    return counted["late"] / 5, counted["refused"] / counted["all"]
