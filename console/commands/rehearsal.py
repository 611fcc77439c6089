"""A rehearsed send call as a table: how each person would be reached, and what to do where not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from console.commands.api import as_object, as_text, as_texts

READY = ("reachable", "will_be_installed")
EXIT_CODE_HELP = "With --dry-run: 0 nobody is known to be unreachable, 1 somebody is, 2 everybody is."


def show_rehearsal(record: Mapping[str, Any], console: Console) -> None:
    """Print each identity and one line of summary; server text is printed, never interpreted."""
    table = Table()
    for heading in ("Identity", "Outcome", "What to do"):
        table.add_column(heading, overflow="fold", no_wrap=heading == "Outcome")  # nothing is cut
    logs = record.get("statusLogs")
    for log in (as_object(each) for each in (logs if isinstance(logs, list) else [])):
        details = as_object(log.get("details"))
        outcome = as_text(details.get("outcome"))
        style = "green" if outcome in READY else "red" if outcome == "unreachable" else "yellow"
        stands = Text(outcome, style=style).append("".join(f"\n{word}" for word in _words(details, "reason")))
        todo = [": ".join(_words(details, "who", "remedy")), *as_texts(details.get("warnings"))]
        table.add_row(Text(as_text(log.get("originalId"))), stands, Text("\n".join(line for line in todo if line)))
    console.print(table)
    details = as_object(record.get("details"))
    for warning in as_texts(details.get("warnings")):
        console.print(Text(f"warning: {warning}", style="yellow"))
    counts = ", ".join(f"{count} {outcome}" for outcome, count in as_object(details.get("outcomes")).items())
    console.print(Text(f"DRY RUN, nothing was sent: {as_text(counts)}; {_time(details)}"))


def _words(details: Mapping[str, Any], *names: str) -> list[str]:
    return [word for name in names if (word := as_text(details.get(name)))]


def _time(details: Mapping[str, Any]) -> str:
    """How long it would take, or what must be seen to first."""
    paused = details.get("paused")
    lanes = [as_object(each) for each in paused] if isinstance(paused, list) else []
    if lanes:
        return "paused: " + "; ".join(as_text(f"{lane.get('reason')}: {lane.get('remedy')}") for lane in lanes)
    return f"sending would take about {as_text(details.get('estimatedSeconds'))} s"


def exit_code(record: Mapping[str, Any]) -> int:
    """0, 1 or 2 for nobody, somebody or everybody who is known to be unreachable."""
    outcomes = as_object(as_object(record.get("details")).get("outcomes"))
    unreachable = outcomes.get("unreachable", 0)
    if not unreachable:
        return 0
    return 2 if len(outcomes) == 1 else 1
