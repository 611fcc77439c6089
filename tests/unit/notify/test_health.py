"""Health: what a machine may conclude from the two routes."""

from __future__ import annotations

import asyncio
import json

from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from notify.health import Check, health_routes


async def ready(*checks: Check) -> tuple[int, dict[str, object]]:
    route = health_routes(checks, check_seconds=0.05)[1]
    answer = await route.handler(make_mocked_request("GET", "/health/ready"))
    assert isinstance(answer, web.Response)
    assert isinstance(answer.body, bytes)
    return answer.status, json.loads(answer.body)


async def fine() -> str:
    return "3 lanes"


async def broken() -> str:
    raise OSError("/secret/path is gone")


async def silent() -> str:
    await asyncio.Event().wait()
    return "never"


class TestReady:
    async def test_all_well(self) -> None:
        """Every finding is shown."""
        assert await ready(Check("lanes", fine)) == (
            200,
            {"status": "ready", "checks": {"lanes": {"ok": True, "finding": "3 lanes"}}},
        )

    async def test_critical(self) -> None:
        """A critical check that fails or does not answer makes the server unavailable, and leaks nothing."""
        status, body = await ready(Check("database", broken), Check("disk", silent))

        assert status == 503
        assert body["checks"] == {
            "database": {"ok": False, "finding": "OSError"},
            "disk": {"ok": False, "finding": "no answer within 0.05 seconds"},
        }

    async def test_not_critical(self) -> None:
        """A check that is not critical is shown and takes no server out of rotation."""
        status, body = await ready(Check("audit", broken, critical=False))

        assert (status, body["status"]) == (200, "ready")
