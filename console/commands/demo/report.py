"""What the demo prints: steps with ticks, who was not reached and why, the figures, the verdict, what to try next."""

from __future__ import annotations

import os
import shlex
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from console.commands.demo.children import ROOT
from console.commands.demo.live import Run

MOST_DIFFERENCES = 20
PLATFORM_LIMITS = {"msteams": "50/s in a tenant", "slack": "about 4/s, after 30 at once"}
"""Microsoft documents its number; Slack says "several hundred a minute", and ours is what the field reports."""


def console() -> Console:
    """Standard output; wide enough for the tables when it is no terminal, unless COLUMNS says otherwise."""
    wide = None if sys.stdout.isatty() or "COLUMNS" in os.environ else 120
    return Console(width=wide)


class Steps:
    """One line for each thing that was done, with the time it took."""

    def __init__(self, console: Console) -> None:
        self._console = console
        unicode = console.encoding.lower().startswith("utf")
        self._tick, self._cross = ("✓", "✗") if unicode else ("+", "x")

    @contextmanager
    def step(self, title: str) -> Iterator[list[str]]:
        """A step that succeeds unless it raises; what is put into the list stands behind its title."""
        began, notes = time.monotonic(), list[str]()
        try:
            if self._console.is_terminal:
                with self._console.status(title):
                    yield notes
            else:
                yield notes
        except BaseException:
            self.say(title, good=False)
            raise
        seconds = time.monotonic() - began
        self.say(": ".join([title, *notes]), f" ({seconds:.1f} s)" if seconds >= 0.1 else "")

    def say(self, line: str, aside: str = "", *, good: bool = True) -> None:
        """A line with a tick or a cross."""
        mark = Text(f"{self._tick} ", style="green") if good else Text(f"{self._cross} ", style="red")
        self._console.print(mark + Text(line) + Text(aside, style="dim"), soft_wrap=True)


def failures(run: Run) -> Table:
    """Everybody who did not get the message, why, and what to do about it (said once for each reason)."""
    table = Table(title=f"Not reached on {run.channel}", title_justify="left")
    table.add_column("Person", no_wrap=True)
    table.add_column("Reason", no_wrap=True, style="red")
    table.add_column("What to do")
    missed = [entry for entry in run.record.entries if not entry.succeeded]
    said: tuple[str, str] | None = None
    for entry in sorted(missed, key=lambda each: (each.reason, each.remedy)):
        why = (entry.reason or entry.outcome, entry.remedy)
        remedy = Text("same", style="dim") if why == said else Text(entry.remedy)
        table.add_row(Text(entry.identity.strip()), Text(why[0]), remedy)
        said = why
    return table


def summary(rows: Sequence[tuple[Run, int]]) -> Table:
    """The figures of every channel; the second value is how many calls the platform refused for speed."""
    columns = ("Channel", "People", "Sent", "Failed", "Seconds", "Sent/s", "The platform allows", "429s")
    table = Table(title="In figures", title_justify="left")
    for name in columns:
        table.add_column(name, justify="left" if name in ("Channel", "The platform allows") else "right")
    for run, throttled in rows:
        counts = (str(run.record.total), str(run.sent), str(run.failed))
        pace = (f"{run.seconds:.1f}", f"{run.rate:.1f}", PLATFORM_LIMITS[run.channel], str(throttled))
        table.add_row(run.channel, *counts, *pace)
    return table


def verdict(steps: Steps, console: Console, wrong: Sequence[str], unexpected: Sequence[str], held: int) -> None:
    """Whether the log tells the truth, and whether everybody's outcome was the one that was staged."""
    if not wrong:
        steps.say(f"Every mailbox agrees with the log: {held} messages, each exactly once, and not one too many.")
    else:
        steps.say(f"The mailboxes and the log differ in {len(wrong)} places:", good=False)
        _list(console, wrong)
    if unexpected:
        steps.say(f"{len(unexpected)} outcomes are not the ones that were staged:", good=False)
        _list(console, unexpected)


def _list(console: Console, lines: Sequence[str]) -> None:
    for line in lines[:MOST_DIFFERENCES]:
        console.print(f"    {line}", markup=False, highlight=False)
    if len(lines) > MOST_DIFFERENCES:
        console.print(f"    and {len(lines) - MOST_DIFFERENCES} more", highlight=False)


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where a running demo can be looked at."""

    server: str
    platforms: str
    config: Path
    client: str
    person: str


def next_steps(console: Console, addresses: Addresses, *, running: bool) -> None:
    """Three or four things to try."""
    herald = _herald()
    fault = '{"platform": "slack", "operation": "chat.postMessage", "drop": "after", "every": 5}'
    if running:
        access = f"--config {shlex.quote(str(addresses.config))} --client {addresses.client}"
        lines = [
            ("See every mailbox, call and limit", addresses.platforms),
            (
                "Send something yourself",
                f'{herald} send {access} --channel slack --text "Hi" --identity {addresses.person} --watch',
            ),
            (
                "Let Slack drop every fifth answer, send again: nobody gets two",
                f"curl -d '{fault}' {addresses.platforms}/faults",
            ),
            ("End it", "Ctrl-C"),
        ]
    else:
        lines = [
            ("Keep it running and look inside", f"{herald} demo --keep"),
            ("Let Slack drop every fifth answer: nobody gets two", f"{herald} demo --fault '{fault}'"),
            ("A thousand people on Teams", f"{herald} demo --teams 1000"),
            ("Use it for real", f"copy herald.example.toml to herald.toml, then {herald} check"),
        ]
    console.print(Text("\nWhat to try next", style="bold"))
    for what, how in lines:
        console.print(f"  {what}:\n    {how}", markup=False, highlight=False, soft_wrap=True)


def _herald() -> str:
    """How to call this Herald from where the reader stands: as short as it can be."""
    script = Path(sys.executable).with_name("herald")
    if not script.exists():
        return f"{shlex.quote(sys.executable)} {shlex.quote(str(ROOT / 'app.py'))}"
    near = script.is_relative_to(Path.cwd())
    return shlex.quote(str(script.relative_to(Path.cwd()) if near else script))
