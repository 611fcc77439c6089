"""`python -m bench`: measure everything, print one table."""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import shlex
import sys
import time
from collections.abc import Callable, Coroutine, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.bad_tokens import measure_bad_tokens
from bench.doors import measure_doors
from bench.end_to_end import measure_slack, measure_teams
from bench.load import measure_accept, measure_backlog, measure_lateness
from bench.measure import Row, markdown, plain
from bench.messages import measure_messages
from bench.mirror import measure_mirror
from bench.paced import measure_lanes, measure_slack_ceiling, measure_teams_limits
from bench.resolving import measure_appless_teams, measure_cold_slack, measure_cold_teams, measure_warm
from bench.scripts import measure_scripts
from bench.told import measure_told

Measurement = Callable[[bool], Coroutine[Any, Any, list[Row]]]
MEASUREMENTS: Mapping[str, Measurement] = {
    "teams": measure_teams,
    "slack": measure_slack,
    "messages": measure_messages,
    "teams-limits": measure_teams_limits,
    "slack-ceiling": measure_slack_ceiling,
    "accept": measure_accept,
    "lateness": measure_lateness,
    "backlog": measure_backlog,
    "lanes": measure_lanes,
    "slack-cold": measure_cold_slack,
    "teams-cold": measure_cold_teams,
    "teams-appless": measure_appless_teams,
    "warm": measure_warm,
    "mirror": measure_mirror,
    "told": measure_told,
    "scripts": measure_scripts,
    "bad_tokens": measure_bad_tokens,
    "doors": measure_doors,
}


def main() -> None:
    """Run what was asked for; the exit code says whether every target was reached."""
    options = _parser().parse_args()
    rows: list[Row] = []
    started = time.monotonic()
    for name in options.only or MEASUREMENTS:
        begun = time.monotonic()
        print(f"{name} …", file=sys.stderr, flush=True)
        found = asyncio.run(MEASUREMENTS[name](options.quick))
        rows += found
        print(f"{plain(found)}\n({time.monotonic() - begun:.0f} s)\n", file=sys.stderr, flush=True)
    print(plain(rows))
    print(f"\n{_where()}; {time.monotonic() - started:.0f} s in all")
    if options.markdown is not None:
        command = shlex.join(["python", "-m", "bench", *sys.argv[1:]])
        options.markdown.write_text(f"`{command}`, {_where()}\n\n{markdown(rows)}", encoding="utf-8")
    sys.exit(0 if all(row.reached for row in rows) else 1)


def _where() -> str:
    now = datetime.now(UTC)
    load = os.getloadavg()[0]
    return (
        f"{now:%Y-%m-%d %H:%M} UTC, {os.cpu_count()} cores, Python {platform.python_version()},"
        f" {platform.system()} {platform.release()}, load {load:.1f} at the end"
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure Herald against the simulator.")
    parser.add_argument("--only", nargs="+", choices=list(MEASUREMENTS), metavar="NAME", help=", ".join(MEASUREMENTS))
    parser.add_argument("--quick", action="store_true", help="fewer and shorter samples")
    parser.add_argument("--markdown", type=Path, help="also write the table to this file")
    return parser


if __name__ == "__main__":
    main()
