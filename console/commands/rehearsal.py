"""A rehearsed send call as a table: how each person would be reached, and what to do where not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from console.commands.api import as_object, as_text

READY = ("reachable", "will_be_installed")


def show_rehearsal(record: Mapping[str, Any], console: Console) -> None:
    """Print each identity and one line of summary; server text is printed, never interpreted."""
    table = Table("Identity", "Outcome", "Reason", "What to do")
    logs = record.get("statusLogs")
    for log in (as_object(each) for each in (logs if isinstance(logs, list) else [])):
        details = as_object(log.get("details"))
        outcome = as_text(details.get("outcome"))
        style = "green" if outcome in READY else "red" if outcome == "unreachable" else "yellow"
        reason, remedy = as_text(details.get("reason")), as_text(details.get("remedy"))
        table.add_row(Text(as_text(log.get("originalId"))), Text(outcome, style=style), Text(reason), Text(remedy))
    console.print(table)
    details = as_object(record.get("details"))
    counts = ", ".join(f"{count} {outcome}" for outcome, count in as_object(details.get("outcomes")).items())
    seconds = as_text(details.get("estimatedSeconds"))
    console.print(Text(f"DRY RUN, nothing was sent: {as_text(counts)}; sending would take about {seconds} s"))
