"""Shows one request on a terminal: a bar while it runs, then a table with every person's outcome."""

import asyncio

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from console.commands.api import Caller, Record

POLL_SECONDS = 1.0  # of the 600 calls a minute that a bot may make
EXIT_CODES = {"SUCCESS": 0, "PARTIAL_SUCCESS": 1, "FAILURE": 2}
STILL_RUNNING = 3
EXIT_CODE_HELP = "Exit code: 0 SUCCESS, 1 PARTIAL_SUCCESS, 2 FAILURE, 3 still in progress, 4 the call itself failed."


async def follow(caller: Caller, request_id: str, console: Console, poll_seconds: float = POLL_SECONDS) -> Record:
    """Poll until the request is final; the bar goes to `console`."""
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.completed}/{task.total}"),
        TimeElapsedColumn(),
        TextColumn("{task.fields[note]}", markup=False),
    )
    with Progress(*columns, console=console, transient=not console.is_terminal) as progress:
        task = progress.add_task(request_id, total=None, note="")
        while True:
            record = await caller.status(request_id)
            _advance(progress, task, record)
            if record.final:
                return record
            await asyncio.sleep(poll_seconds)


def _advance(progress: Progress, task: TaskID, record: Record) -> None:
    progress.update(task, completed=len(record.entries), total=record.total, note=note(record))


def note(record: Record) -> str:
    """The last words of the bar: what holds the request, or when it will be done."""
    if record.paused:
        return "paused: " + "; ".join(record.paused)
    parts = []
    if record.rate is not None and not record.final:
        parts.append(f"{record.rate:.1f}/s")
    if record.finish is not None and not record.final:
        parts.append(f"done about {record.finish}")
    return ", ".join(parts)


def show(record: Record, console: Console) -> None:
    """Print the outcome of every person and one line of summary; server text is printed, never interpreted."""
    if record.entries:
        table = Table()
        for heading in ("Identity", "Outcome", "Reason", "What to do"):
            table.add_column(heading, overflow="fold")  # nothing is cut: one can read who is meant
        for entry in record.entries:
            style = "green" if entry.succeeded else "red"
            reason = "" if entry.succeeded else entry.reason or entry.comment
            cells = (Text(entry.identity), Text(entry.outcome, style=style), Text(reason), Text(entry.remedy))
            table.add_row(*cells)
        console.print(table)
    sent = sum(entry.succeeded for entry in record.entries)
    summary = f"{record.request_id} {record.status}: {sent} sent, {len(record.entries) - sent} failed"
    console.print(Text(f"{summary}, {max(record.total - len(record.entries), 0)} open"))
    if not record.final and (hint := note(record)):
        console.print(Text(hint))


def exit_with(record: Record) -> None:
    """End the command with the code that the record stands for."""
    click.get_current_context().exit(EXIT_CODES.get(record.status, STILL_RUNNING))
