"""Herald with a stopwatch beside it: `python -m bench.served serve …` also tells how late the event loop was."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

from aiohttp import web

import cli
from app import build_app
from settings import Settings

EVERY = 0.002
LATENESS = web.AppKey("lateness", list[float])


async def build(settings: Settings) -> web.Application:
    """The application with one task and one route more."""
    app = await build_app(settings)
    app[LATENESS] = []
    app.router.add_post("/bench/lateness", _tell)
    app.cleanup_ctx.append(_watching)
    return app


async def _watching(app: web.Application) -> AsyncIterator[None]:
    task = asyncio.create_task(_watch(app[LATENESS]))
    yield
    task.cancel()


async def _watch(lateness: list[float]) -> None:
    while True:
        due = time.perf_counter() + EVERY
        await asyncio.sleep(EVERY)
        lateness.append(max(time.perf_counter() - due, 0.0))


async def _tell(request: web.Request) -> web.Response:
    """What was measured since the last question."""
    lateness = request.app[LATENESS]
    answer = web.json_response(list(lateness))
    lateness.clear()
    return answer


if __name__ == "__main__":
    cli.main(build)
