"""Where every reason comes from: read off the code, so that the table of reasons and its page can be held to it."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from adapters.base import Fault
from adapters.slack import faults as slack
from adapters.teams import faults as teams
from adapters.teams import install_faults as installs
from adapters.teams import installs as installing
from identity import teams as graph
from identity import teams_questions as questions
from identity.resolver import UNINSTALLED
from notify.identities import INVALID
from notify.texts import REASONS

ROOT: Final = Path(__file__).parents[2]
TEAMS, SLACK = "Teams", "Slack"
_PLACES: Final[Mapping[str, int]] = {
    "Fault": 1, "Verdict": 0, "NoPerson": 0, "Missing": 0, "MayNotLook": 0, "nobody": 0, "_verdict": 0, "Unready": 0,
    "NotYet": 0,
}  # fmt: skip
"""Where in a call the reason stands."""
_ELSEWHERE: Final = frozenset({"sent", "chore_failed"})
"""The verdict of what needs no reason, and the fault of a chore, which stands in no status."""


def given() -> dict[str, set[str]]:
    """Every reason that our code can give, with the channels on which it does."""
    found: dict[str, set[str]] = defaultdict(set)
    for room in ("adapters", "identity", "notify"):
        for path in sorted((ROOT / room).rglob("*.py")):
            for reason in _in_calls(ast.parse(path.read_text(encoding="utf-8")), path):
                found[reason] |= _channels(path)
    for channel, reason, _ in _coded():
        found[reason].add(channel)
    found[INVALID] |= {TEAMS, SLACK}
    found[UNINSTALLED].add(TEAMS)
    return {reason: channels for reason, channels in found.items() if reason not in _ELSEWHERE}


def table() -> list[str]:
    """The rows of docs/reasons.md."""
    channels, codes = given(), _codes()
    rows = []
    for slug, reason in REASONS.items():
        where = ", ".join(sorted(channels.get(slug, ()))) or "none yet"
        code = "; ".join(codes.get(slug, ())) or "–"
        rows.append(f"| `{slug}` | {where} | {reason.comment} | {reason.who.value} | {reason.remedy} | {code} |")
    return rows


def _in_calls(tree: ast.AST, path: Path) -> Iterator[str]:
    """Reasons written out as arguments of a call."""
    places = {**_PLACES, "Row": 3 if "teams" in path.parts else 2}
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        name = call.func.id if isinstance(call.func, ast.Name) else getattr(call.func, "attr", "")
        place = places.get(name)
        if place is not None and place < len(call.args):
            yield from _text(call.args[place])
        if place is not None or name == "replace":
            for keyword in call.keywords:
                if keyword.arg == "reason":
                    yield from _text(keyword.value)


def _text(node: ast.expr) -> Iterator[str]:
    """The text of a literal, or of either branch of a choice."""
    if isinstance(node, ast.IfExp):
        yield from (*_text(node.body), *_text(node.orelse))
    elif isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value


def _channels(path: Path) -> set[str]:
    name = path.relative_to(ROOT).as_posix()
    if "teams" in name:
        return {TEAMS}
    return {SLACK} if "slack" in name else {TEAMS, SLACK}


def _coded() -> Iterator[tuple[str, str, str]]:
    """(channel, reason, code) of every row of a platform's table, and of every fault beside it."""
    for row in teams.TABLE:
        code = {teams.ANY: f"{row.status}", None: f"{row.status} without a code"}.get(row.code)
        yield TEAMS, row.reason, code or f"{row.status} `{row.code}`"
    for install in installs.TABLE:
        said = f' "{install.words}"' if install.words else ""
        yield TEAMS, install.reason, f"install: {install.status}{said}"
    for line in slack.ROWS:
        for code in line.codes.split():
            yield SLACK, line.reason, f"`{code}`"
    for channel, module in ((TEAMS, teams), (TEAMS, graph), (TEAMS, questions), (TEAMS, installing), (SLACK, slack)):
        for value in vars(module).values():
            if isinstance(value, Fault):
                yield channel, value.reason, f"`{value.code}`" if value.code else ""


def _codes() -> dict[str, list[str]]:
    """The codes of each reason, channel by channel."""
    found: dict[tuple[str, str], dict[str, None]] = defaultdict(dict)
    for channel, reason, code in _coded():
        if code:
            found[reason, channel][code] = None
    codes: dict[str, list[str]] = defaultdict(list)
    for (reason, channel), several in found.items():
        codes[reason].append(f"{channel}: {', '.join(several)}")
    return codes
