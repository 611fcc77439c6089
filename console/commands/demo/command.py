"""The story that `herald demo` tells, from empty folder to verdict."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from console.commands.demo import report
from console.commands.demo.audience import MOST, SLACK_LEAST, TEAMS_LEAST
from console.commands.demo.live import Run, follow
from console.commands.demo.stage import CLIENT
from console.commands.demo.verdict import differences, surprises
from console.commands.demo.world import Wish, World, build

INTERRUPTED = 130
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
TEXTS = {
    "msteams": "Fire drill at 3 pm: {first_name}, please leave the building by the nearest exit.",
    "slack": "Dear {first_name}, the kitchen on the second floor is closed today. Coffee is on the third.",
}
"""What everybody reads, each with their own name."""
PLATFORMS = {"msteams": ("teams", ("connector", "graph")), "slack": ("slack", ("slack",))}
"""Whose mailboxes and whose counters belong to a channel."""


def _fault(value: str) -> Mapping[str, Any]:
    with contextlib.suppress(ValueError):
        fault = json.loads(value)
        if isinstance(fault, dict):
            return fault
    raise click.BadParameter("write a JSON object")


@click.command(epilog="Exit code: 0 if every mailbox holds exactly what the log says, else 1.")
@click.option("--teams", type=click.IntRange(TEAMS_LEAST, MOST), default=300, show_default=True, help="people on Teams")
@click.option("--slack", type=click.IntRange(SLACK_LEAST, MOST), default=80, show_default=True, help="people on Slack")
@click.option(
    "--fault",
    "faults",
    type=_fault,
    multiple=True,
    metavar="JSON",
    help="let the platforms misbehave, as simulator/README.md describes; may be given many times",
)
@click.option("--keep", is_flag=True, help="leave everything running until Ctrl-C, and keep its folder")
def demo(teams: int, slack: int, faults: tuple[Mapping[str, Any], ...], keep: bool) -> None:
    """See it work, with nothing but this machine.

    Starts Slack and Teams as local look-alikes with the real limits, a server beside them, installs the app through
    the real flows, notifies everybody on both channels at once, and compares each true mailbox with the log.
    """
    console = report.console()
    try:
        code = asyncio.run(_until_signal(_story(Wish(teams, slack, keep, faults), console)))
    except (asyncio.CancelledError, KeyboardInterrupt):
        console.print("Interrupted: everything was ended and cleaned up.")
        code = INTERRUPTED
    click.get_current_context().exit(code)


async def _until_signal(story: Coroutine[Any, Any, int]) -> int:
    """Run the story; the first signal cancels it, so that every `finally` has its turn, and further ones wait."""
    task = asyncio.create_task(story)
    loop = asyncio.get_running_loop()
    for number in SIGNALS:
        loop.add_signal_handler(number, _once(task))
    return await task


def _once(task: asyncio.Task[int]) -> Callable[[], None]:
    def interrupt() -> None:
        if not task.cancelling():
            task.cancel()

    return interrupt


async def _story(wish: Wish, console: Console) -> int:
    steps = report.Steps(console)
    with _folder(keep=wish.keep) as folder:
        async with build(wish, folder, steps) as world:
            began = time.monotonic()
            runs = await _send(world, steps, console)
            code = await _judge(world, runs, wish, steps, console)
            seconds = time.monotonic() - began
            console.print(f"\nFrom the first request to the verdict: {seconds:.0f} s.", highlight=False)
            addresses = report.Addresses(
                world.server, world.platforms.page, world.config, CLIENT, world.slack.members[0].identity
            )
            report.next_steps(console, addresses, running=wish.keep)
            if wish.keep:
                await _stay(world, folder, console)
    return code


@contextmanager
def _folder(*, keep: bool) -> Iterator[Path]:
    """A private folder for settings, database and logs; it stays only if that was asked for and all went well."""
    folder = Path(tempfile.mkdtemp(prefix="herald-demo-"))
    finished = False
    try:
        yield folder
        finished = True
    finally:
        if not (keep and finished):
            shutil.rmtree(folder, ignore_errors=True)


async def _send(world: World, steps: report.Steps, console: Console) -> list[Run]:
    runs = []
    for channel, text in TEXTS.items():
        identities = [
            {"email": each.identity, "parameters": {"first_name": each.first_name}} for each in world.invited(channel)
        ]
        body = {"channel": channel, "message": {"type": "text", "value": text}, "identities": identities}
        began = time.monotonic()
        record = await world.caller.notify_each(body)
        runs.append(Run(channel, text, record, began))
        steps.say(f"One request for {len(identities)} people on {channel}, each by name: {record.request_id}")
    await follow(world.caller, runs, console)
    return runs


async def _judge(world: World, runs: Sequence[Run], wish: Wish, steps: report.Steps, console: Console) -> int:
    wrong: list[str] = []
    unexpected: list[str] = []
    rows, held = [], 0
    for run in runs:
        mailboxes, counters = PLATFORMS[run.channel]
        invited = world.invited(run.channel)
        messages = await world.platforms.mailboxes(mailboxes)
        wrong += differences(invited, run.record.entries, messages, run.text)
        unexpected += surprises(invited, run.record.entries)
        rows.append((run, await world.platforms.refused_for_speed(counters)))
        held += len(messages)
        console.print(report.failures(run))
    console.print(report.summary(rows))
    if wish.faults:
        unexpected = []  # platforms that misbehave make other outcomes; the log must be true all the same
    report.verdict(steps, console, wrong, unexpected, held)
    return 1 if wrong or unexpected else 0


async def _stay(world: World, folder: Path, console: Console) -> None:
    """Until Ctrl-C."""
    console.print(f"\nRunning: {world.server}/health/ready and {world.platforms.page}", highlight=False, soft_wrap=True)
    console.print(f"Settings, database and logs: {folder}", highlight=False, soft_wrap=True)
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.Event().wait()
    console.print("Ending; the folder stays.")
