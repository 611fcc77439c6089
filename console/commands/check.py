"""`herald check`: what is missing or wrong before the first send, each line with what to do about it."""

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path

import aiohttp
import click
from rich.console import Console
from rich.text import Text

from console.commands.checks import Finding, fail, ok, platforms, secrecy, setup
from console.commands.tools import Tools, config_option, settings_file
from settings import Settings, SettingsError

TIMEOUT = aiohttp.ClientTimeout(total=15, connect=5)
STYLES = {"ok": "green", "warn": "yellow", "fail": "bold red"}


@click.command(epilog="Exit code: 0 nothing fails (warnings may stand), 1 something fails.")
@config_option
@click.option("--offline", is_flag=True, help="look at settings and database only")
@click.pass_obj
def check(tools: Tools, config: Path | None, offline: bool) -> None:
    """Check settings, database, credentials, permissions and reachability. Changes nothing."""
    console = Console(soft_wrap=True)
    try:
        settings = tools.settings(config)
    except SettingsError as error:
        findings = [fail("settings", f"{problem.where}: {problem.key}", problem.message) for problem in error.problems]
    else:
        exposed = secrecy.settings(settings_file(config))
        found = asyncio.run(examine(settings, offline=offline))
        findings = [ok("settings", "complete and consistent"), *exposed, *found]
    for finding in findings:
        show(finding, console)
    click.get_current_context().exit(1 if any(finding.level == "fail" for finding in findings) else 0)


async def examine(settings: Settings, *, offline: bool) -> list[Finding]:
    """Every finding about usable settings, in a fixed order; the probes run at the same time."""
    found = [*setup.callers(settings), *setup.dangers(settings), *setup.public_address(settings)]
    found += [*setup.trusted_proxies(settings), *setup.proxies(os.environ), *secrecy.database(settings)]
    found += await setup.database(settings)
    if offline:
        return found
    async with aiohttp.ClientSession(timeout=TIMEOUT, cookie_jar=aiohttp.DummyCookieJar()) as session:
        results = await asyncio.gather(*(probe() for probe in probes(settings, session)))
    return [*found, *(finding for result in results for finding in result)]


def probes(settings: Settings, session: aiohttp.ClientSession) -> Iterable[Callable[[], Awaitable[list[Finding]]]]:
    """The questions to the platforms that these settings raise."""
    endpoints = settings.endpoints.resolved()
    if any(bot.msteams for bot in settings.bots):
        yield lambda: platforms.openid_metadata(session, endpoints)
    for bot in settings.bots:
        if bot.msteams is not None:
            teams = platforms.TeamsProbe(session, endpoints, bot.name, bot.msteams)
            yield teams.run
        if bot.slack is not None:
            slack = platforms.SlackProbe(session, endpoints, bot.name, bot.slack)
            yield slack.run


def show(finding: Finding, console: Console) -> None:
    """One line: level, subject, what was found, what to do."""
    line = Text(f"{finding.level:<5}", style=STYLES[finding.level])
    line.append(f"{finding.subject}: ", style="bold")
    line.append(finding.text, style="default")
    if finding.remedy:
        line.append(f" → {finding.remedy}", style="default")
    console.print(line)
