"""Everything that the demo runs: both platforms, the server, the installs, and a caller with a token."""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from console.commands.api import Caller
from console.commands.demo import stage
from console.commands.demo.audience import Invited, SlackAudience, TeamsAudience
from console.commands.demo.children import ROOT, Child, running
from console.commands.demo.local import LocalPlatforms
from console.commands.demo.report import Steps
from console.commands.demo.stage import BOT, CLIENT, Credentials, Stage
from console.commands.token import token_for
from console.commands.tools import Trouble
from settings import load


@dataclass(frozen=True, slots=True)
class Wish:
    """What the command line asks for."""

    teams: int
    slack: int
    keep: bool
    faults: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True, slots=True)
class World:
    """Everything that runs, ready for the first request."""

    platforms: LocalPlatforms
    server: str
    config: Path
    caller: Caller
    teams: TeamsAudience
    slack: SlackAudience

    def invited(self, channel: str) -> Sequence[Invited]:
        """The people of one channel's request."""
        return self.teams.everybody if channel == "msteams" else self.slack.everybody


@asynccontextmanager
async def build(wish: Wish, folder: Path, steps: Steps) -> AsyncIterator[World]:
    """Start it all in this order; end it in the opposite one, whatever happens."""
    credentials, config = Credentials.new(), folder / "herald.toml"
    async with AsyncExitStack() as stack:
        with steps.step("Slack and Teams on this machine, with their real limits") as notes:
            simulator, endpoints = await _start_platforms(stack, folder, max(wish.teams, wish.slack))
            platforms = await stack.enter_async_context(LocalPlatforms.open(endpoints["url"]))
            setting = Stage(platforms, credentials)
            await setting.register()
            tenant = (await platforms.get("/state"))["teams"]["tenants"][0]["id"]
            notes.append(platforms.page)
        with steps.step("Herald's server") as notes:
            stage.write_settings(config, 0, credentials, endpoints, tenant)
            child, server = await _start_server(stack, folder, config)
            # the server took any free port; with the true one in the file every other command finds it
            stage.write_settings(config, int(server.rpartition(":")[2]), credentials, endpoints, tenant)
            notes.append(f"{server}/health/ready {await _health(server)}")
        with _last_words(simulator, child):
            teams, slack = await _install(setting, server, wish, steps)
            with steps.step("A caller's token") as notes:
                token = token_for(load(config, {}), CLIENT, 3600, None)
                notes.append(f"a JWT of {len(token)} characters, signed with the client's secret")
            for fault in wish.faults:
                await platforms.post("/faults", fault)
                steps.say(f"A fault: {json.dumps(fault)}")
            caller = await stack.enter_async_context(Caller.open(server, BOT, token))
            yield World(platforms, server, config, caller, teams, slack)


async def _start_platforms(stack: AsyncExitStack, folder: Path, people: int) -> tuple[Child, Mapping[str, str]]:
    arguments = [sys.executable, "-m", "simulator", "--port", "0", "--quiet", "--plain-people", "--people", str(people)]
    name, log = "The simulator of Slack and Teams", folder / "simulator.log"
    child = await stack.enter_async_context(running(name, arguments, log, lambda said: said.get("ready") is True))
    return child, await child.ready()


async def _start_server(stack: AsyncExitStack, folder: Path, config: Path) -> tuple[Child, str]:
    program = [sys.executable, str(ROOT / "app.py"), "serve", "--config", str(config), "--log-format", "json"]
    child = await stack.enter_async_context(
        running("The server", program, folder / "server.log", lambda said: said.get("action") == "listening")
    )
    return child, str((await child.ready())["address"])


async def _health(server: str) -> str:
    async with aiohttp.ClientSession() as session, session.get(f"{server}/health/ready") as answer:
        return f"answers {answer.status}"


@contextmanager
def _last_words(*children: Child) -> Iterator[None]:
    """When something fails because a process is gone, show what it said last."""
    try:
        yield
    except Trouble as trouble:
        gone = [child for child in children if child.ended]
        words = [f"{child.name} ended by itself. Its last words:\n{child.last_words}" for child in gone]
        raise Trouble("\n".join([trouble.message, *words])) from trouble


async def _install(setting: Stage, server: str, wish: Wish, steps: Steps) -> tuple[TeamsAudience, SlackAudience]:
    with steps.step("Both platforms know the server's address") as notes:
        await setting.connect(server)
        notes.append("Slack has checked it")
    with steps.step("The Slack app") as notes:
        slack = await setting.slack_people(wish.slack)
        notes.append(f"“{await setting.install_slack(server)}”, says its page after OAuth with state and cookie")
    with steps.step("The Teams app") as notes:
        teams = await setting.teams_people(wish.teams)
        installed = await setting.install_teams(teams)
        notes.append(f"installed for {installed} people by signed activities, and for {len(teams.quiet)} silently")
    with steps.step("Herald asks Teams who they are") as notes:
        done = await setting.learned(installed)
        notes.append(f"{installed} e-mail addresses learned" if done else "still busy, which is no obstacle")
        await setting.block(teams.blocking)
    return teams, slack
