"""Health for machines: `/health/live` says that the process answers, `/health/ready` whether it can accept calls."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

from aiohttp import web

from notify.errors import json_answer

log = logging.getLogger("herald.health")

CHECK_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class Check:
    """One question. `ask` returns a short finding to show, or raises when the answer is no.

    A check that is not `critical` is shown and never takes the server out of rotation.
    """

    name: str
    ask: Callable[[], Awaitable[str]]
    critical: bool = True


def health_routes(checks: Sequence[Check] = (), *, check_seconds: float = CHECK_SECONDS) -> list[web.RouteDef]:
    """The two health routes; they need no token and tell no secret."""

    async def live(_request: web.Request) -> web.Response:
        return json_answer({"status": "live"})

    async def ready(_request: web.Request) -> web.Response:
        found = await asyncio.gather(*(_ask(check, check_seconds) for check in checks))
        ok = all(passed or not check.critical for check, (passed, _) in zip(checks, found, strict=True))
        body = {
            "status": "ready" if ok else "unavailable",
            "checks": {
                check.name: {"ok": passed, "finding": finding}
                for check, (passed, finding) in zip(checks, found, strict=True)
            },
        }
        return json_answer(body, status=200 if ok else 503)

    return [web.get("/health/live", live), web.get("/health/ready", ready)]


async def _ask(check: Check, seconds: float) -> tuple[bool, str]:
    try:
        async with asyncio.timeout(seconds):
            return True, await check.ask()
    except TimeoutError:
        return False, f"no answer within {seconds:g} seconds"
    except Exception as error:  # noqa: BLE001 - whatever it is, the answer is no
        log.warning("health check failed", extra={"action": "health_failed", "check": check.name})
        return False, type(error).__name__
