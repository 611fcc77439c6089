"""Callers' scripts: Kore's Example 2 for a thousand people, a first one, and what hostile ones cost."""

from __future__ import annotations

import asyncio
import gc
import os
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import median
from typing import Any

from bench.measure import Row, within
from notify.script.context import Recipient, context
from notify.script.pool import Limits, ScriptPool
from notify.script.results import Failed, Printed, Result, Why

PEOPLE = 1000
EXAMPLE_2 = (
    "var envMsg = 'John'; var channel = context.session.BotUserSession.lastMessage.channel;"
    " print(JSON.stringify({text: 'Hi ' + envMsg + ' message is from ' + channel + ' channel'}));"
)
GREETING = Printed('{"text":"Hi John message is from msteams channel"}')
ONE = "if (context.session.UserContext.emailId === 'p500@example.com') {hostile}; "
BOMBS = "if (+context.session.UserContext._id % 20) { const all = []; for (;;) all.push(new ArrayBuffer(1e6)); }"
LIMITS = Limits()
ENOUGH = Limits(total_seconds=600.0)  # so that every bomb goes off
_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


async def measure_scripts(quick: bool) -> list[Row]:
    """Rendering alone: no request, no database, no wire."""
    rounds = 3 if quick else 10
    return [
        await _first(rounds),
        *await _thousand(rounds),
        await _one_of_many("endless loop", "for(;;)", 300),
        await _one_of_many("call that cannot be interrupted", "[].concat(Array(1e9))", 500),
        await _bombs(200 if quick else PEOPLE),
    ]


def _people(count: int) -> list[dict[str, Any]]:
    found = (
        Recipient(f"p{number}@example.com", "resolve", name=f"John Doe {number}", user_id=str(number), org_id="o-1")
        for number in range(count)
    )
    return [context("Bot", "st-1", "msteams", recipient) for recipient in found]


@asynccontextmanager
async def _pool(limits: Limits = LIMITS) -> AsyncIterator[ScriptPool]:
    pool = ScriptPool(limits=limits)
    try:
        yield pool
    finally:
        await pool.close()


async def _timed(pool: ScriptPool, source: str, people: Sequence[dict[str, Any]]) -> tuple[float, list[Result]]:
    begun = time.monotonic()
    results = await pool.begin(source).render(people)
    return time.monotonic() - begun, results


async def _first(rounds: int) -> Row:
    taken = []
    for _ in range(rounds):
        async with _pool() as pool:
            seconds, results = await _timed(pool, EXAMPLE_2, _people(1))
            assert results == [GREETING]
            taken.append(seconds * 1000)
    return within(
        "script: first one after start, worst", max(taken), 150, "ms", reference=f"median {median(taken):.0f} ms"
    )


async def _thousand(rounds: int) -> list[Row]:
    people, taken = _people(PEOPLE), []
    async with _pool() as pool:
        cold, results = await _timed(pool, EXAMPLE_2, people)
        assert results == [GREETING] * PEOPLE
        before = _cpu_seconds(pool)
        for _ in range(rounds):
            seconds, results = await _timed(pool, EXAMPLE_2, people)
            assert results == [GREETING] * PEOPLE
            taken.append(seconds)
        cpu = (_cpu_seconds(pool) - before) / rounds / PEOPLE * 1000
    what = f"script: Example 2 for {PEOPLE} people"
    return [
        within(f"{what}, with the start", cold, 1.2, "s", reference=f"warm: {median(taken):.2f} s"),
        within(f"{what}: CPU each, children included", cpu, 0.6, "ms"),
    ]


async def _one_of_many(name: str, hostile: str, most: float) -> Row:
    """What one recipient's turn adds for all of them; the median of five."""
    people, added = _people(PEOPLE), []
    async with _pool() as pool:
        await _timed(pool, EXAMPLE_2, people)
        for _ in range(5):
            plain, _results = await _timed(pool, EXAMPLE_2, people)
            seconds, results = await _timed(pool, ONE.format(hostile=hostile) + EXAMPLE_2, people)
            assert isinstance(results[500], Failed)
            assert results[500].why is Why.TIME
            assert results.count(GREETING) == PEOPLE - 1
            added.append((seconds - plain) * 1000)
    return within(
        f"script: {name} for 1 of {PEOPLE}, added", median(added), most, "ms", reference=f"{PEOPLE - 1} unaffected"
    )


async def _bombs(count: int) -> Row:
    people = _people(count)
    async with _pool(ENOUGH) as pool:
        await _timed(pool, EXAMPLE_2, people)
        gc.collect()
        before, most = _resident_bytes(), 0
        rendering = asyncio.create_task(_timed(pool, f"{BOMBS} {EXAMPLE_2}", people))
        while not rendering.done():
            await asyncio.sleep(0.01)
            most = max(most, _resident_bytes())
        seconds, results = await rendering
    failed = [result.why for result in results if isinstance(result, Failed)]
    assert (results.count(GREETING), {Why.MEMORY}) == (count // 20, set(failed))
    return within(
        f"script: {len(failed)} memory bombs: growth of the server, peak",
        (most - before) / 1e6,
        20,
        "MB",
        reference=f"{seconds:.1f} s",
    )


def _cpu_seconds(pool: ScriptPool) -> float:
    children = 0
    for pid in pool.pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        children += int(fields[11]) + int(fields[12])
    return time.process_time() + children / _TICKS


def _resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE
