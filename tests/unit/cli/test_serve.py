"""`herald serve`: a real process that listens, and stops when it is told to."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.unit.cli.conftest import SETTINGS

ROOT = Path(__file__).parents[3]
PROGRAM = f"""
import asyncio, sys
sys.path.insert(0, {str(ROOT)!r})
from aiohttp import web
import cli

URL = web.AppKey("url", str)

async def hello(request):
    return web.Response(text=request.app[URL])

async def resource(app):
    yield
    if "slow" in sys.argv[0]:
        await asyncio.sleep(60)

async def build_app(settings):
    app = web.Application()
    app[URL] = settings.server.public_url
    app.router.add_get("/", hello)
    app.cleanup_ctx.append(resource)
    return app

cli.main(build_app)
"""


class Process:
    """A serving process and its events."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.events: list[dict[str, Any]] = []

    async def until(self, action: str) -> dict[str, Any]:
        """Read events until this one comes."""
        assert self.process.stderr is not None
        async for line in self.process.stderr:
            self.events.append(json.loads(line))
            if self.events[-1]["action"] == action:
                return self.events[-1]
        raise AssertionError(f"no {action} in {self.events}")

    async def ends(self) -> int:
        async with asyncio.timeout(20):
            return await self.process.wait()


Start = Callable[..., Awaitable[Process]]


@pytest.fixture(name="start")
async def _start(tmp_path: Path) -> AsyncIterator[Start]:
    started: list[asyncio.subprocess.Process] = []

    async def start(name: str = "quick", server: str = "port = 0") -> Process:
        program, config = tmp_path / f"{name}.py", tmp_path / "herald.toml"
        program.write_text(PROGRAM, encoding="utf-8")
        here, proxies = 'public_url = "https://herald.example.com"\n', 'trusted_proxies = ["127.0.0.1"]\n'
        text = SETTINGS.replace(proxies, "").replace(here, f"{proxies}{server}\n")
        config.write_text(text, encoding="utf-8")
        arguments = (
            sys.executable,
            "-W",
            "error",
            str(program),
            "serve",
            "--config",
            str(config),
            "--log-format",
            "json",
        )
        process = await asyncio.create_subprocess_exec(*arguments, stderr=asyncio.subprocess.PIPE)
        started.append(process)
        return Process(process)

    yield start
    for process in started:
        if process.returncode is None:
            process.kill()
            await process.wait()


class TestServe:
    async def test_any_port(self, start: Start) -> None:
        """With port 0 the address is told in an event, and the application knows it too; so is what is dangerous."""
        process = await start(server="port = 0\n[endpoints]\ndangerously_allow_http_endpoints = true")
        event = await process.until("listening")
        async with aiohttp.ClientSession() as session, session.get(event["address"]) as response:
            assert await response.text() == event["address"] == event["public_url"]
        dangers = [each["option"] for each in process.events if each["action"] == "dangerous_option"]
        assert dangers == ["endpoints.dangerously_allow_http_endpoints"]

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
    async def test_first_signal(self, start: Start, number: signal.Signals) -> None:
        """The first SIGTERM or SIGINT stops in order, with code 0."""
        process = await start()
        await process.until("listening")
        process.process.send_signal(number)

        await process.until("stopped")
        assert await process.ends() == 0

    async def test_second_signal(self, start: Start) -> None:
        """A second signal ends the process at once."""
        process = await start("slow")
        await process.until("listening")
        process.process.send_signal(signal.SIGTERM)
        await process.until("stopping")
        process.process.send_signal(signal.SIGTERM)

        await process.until("left_at_once")
        assert await process.ends() == 1

    async def test_grace(self, start: Start) -> None:
        """A stop that does not end within the grace is cut off."""
        process = await start("slow", "port = 0\nshutdown_grace_seconds = 0.2")
        await process.until("listening")
        process.process.send_signal(signal.SIGTERM)

        await process.until("stop_took_too_long")
        assert await process.ends() == 1

    async def test_taken_port(self, start: Start) -> None:
        """A taken port is said in one sentence."""
        first = await start()
        port = (await first.until("listening"))["address"].rpartition(":")[2]
        second = await start(server=f"port = {port}")
        assert second.process.stderr is not None

        message = (await second.process.stderr.read()).decode()

        assert f"Cannot listen on 127.0.0.1 port {port}" in message
        assert await second.ends() == 4
