"""A settings file, a way to run a command in it, and a small Herald for the commands that call one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from click.testing import CliRunner, Result

import cli
from console.commands.tools import Tools
from settings import Settings, load

BOT = "st-00000000-0000-5000-8000-000000000001"
APP = "11111111-2222-3333-4444-555555555555"
TENANT = "7e4a0000-0000-4000-8000-000000000001"
CLIENT_SECRET = "0123456789abcdef0123456789abcdef"

SETTINGS = f"""
[server]
public_url = "https://herald.example.com"
trusted_proxies = ["127.0.0.1"]
[storage]
url = "sqlite:///herald.db"
encryption_key = "0123456789abcdefghijklmnopqrstuv"
[[bots]]
id = "{BOT}"
name = "People team"
[bots.msteams]
app_id = "{APP}"
app_password = "teams-password"
tenant_id = "7e4a0000-0000-4000-8000-000000000001"
[bots.slack]
signing_secret = "slack-signing"
bot_token = "xoxb-1"
[[bots.clients]]
client_id = "cs-1"
secret = "{CLIENT_SECRET}"
"""


def no_app(_settings: Settings) -> web.Application:
    """For commands that build no application."""
    raise AssertionError("this command must not build the application")


@dataclass
class Shell:
    """Runs commands with a settings file, as `herald … --config FILE` would."""

    folder: Path
    text: str = SETTINGS
    mode: int = 0o600

    @property
    def config(self) -> Path:
        return self.folder / "herald.toml"

    def run(self, *arguments: str, stdin: str | None = None) -> Result:
        self.config.write_text(self.text, encoding="utf-8")
        self.config.chmod(self.mode)
        with_config = [*arguments] if "--help" in arguments else [*arguments, "--config", str(self.config)]
        tools = Tools(no_app, load)
        return CliRunner().invoke(cli.group(), with_config, obj=tools, input=stdin, env={"COLUMNS": "200"})

    async def run_beside(self, *arguments: str) -> Result:
        """Run while this loop goes on serving what the command calls."""
        return await asyncio.to_thread(self.run, *arguments)


@pytest.fixture(name="shell")
def _shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path)


@dataclass
class StubHerald:
    """Answers the API's two calls from a list, and keeps what it was asked."""

    url: str = ""
    answers: list[tuple[int, Any]] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    seen: list[web.Request] = field(default_factory=list)
    bodies: list[Any] = field(default_factory=list)

    async def handle(self, request: web.Request) -> web.Response:
        self.seen.append(request)
        self.bodies.append(await request.json() if request.can_read_body else None)
        status, body = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(body, str):
            return web.Response(status=status, text=body, headers=self.headers)
        return web.json_response(body, status=status, headers=self.headers)


@pytest.fixture(name="herald")
async def _herald() -> AsyncIterator[StubHerald]:
    stub = StubHerald()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", stub.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    stub.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield stub
    await runner.cleanup()
