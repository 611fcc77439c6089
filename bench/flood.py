"""Strangers with bad tokens as a process of its own: `python -m bench.flood plan.json`.

It waits for a JSON line with `seconds`, and answers with how often it got which status.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import Counter
from contextlib import AsyncExitStack
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import aiohttp

ADDRESSES = 8
"""From so many addresses of this machine: each alone has used up what is free within a second."""


async def _call(http: aiohttp.ClientSession, url: str, token: str, answers: Counter[int]) -> None:
    try:
        async with http.post(url, json={}, headers={"auth": token}) as answer:
            answers[answer.status] += 1
    except aiohttp.ClientError:
        answers[0] += 1


async def _flood(plan: dict[str, Any], sessions: list[aiohttp.ClientSession], seconds: float) -> Counter[int]:
    """So many calls a second at an even pace, whether or not the earlier ones were answered."""
    answers = Counter[int]()
    count = int(plan["rate"] * seconds)
    pairs = islice(zip(cycle(sessions), cycle(plan["tokens"]), strict=False), count)
    started = time.monotonic()
    async with asyncio.TaskGroup() as calls:
        for number, (http, token) in enumerate(pairs):
            await asyncio.sleep(max(started + number / plan["rate"] - time.monotonic(), 0))
            calls.create_task(_call(http, plan["url"], token, answers))
    return answers


async def _main(plan: dict[str, Any]) -> None:
    async with AsyncExitStack() as stack:
        sessions = []
        for number in range(ADDRESSES):
            connector = aiohttp.TCPConnector(limit=0, local_addr=(f"127.0.1.{number + 1}", 0))
            sessions.append(await stack.enter_async_context(aiohttp.ClientSession(connector=connector)))
        print(json.dumps({"ready": True}), flush=True)
        while line := await asyncio.to_thread(sys.stdin.readline):
            answers = await _flood(plan, sessions, json.loads(line)["seconds"])
            print(json.dumps({str(status): count for status, count in answers.items()}), flush=True)


if __name__ == "__main__":
    asyncio.run(_main(json.loads(Path(sys.argv[1]).read_text())))
