"""The description of a whole server: served to everybody, complete, and nothing that it says can be proven wrong."""

from __future__ import annotations

import asyncio
import os
import re
from collections import defaultdict
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest
import schemathesis
from schemathesis.engine import events, from_schema

from notify.openapi.page import PATH, served
from tests.harness import herald as harness
from tests.harness.herald import BOT, Herald, bot, settings, slack_oauth, slack_side, teams_side, write_settings
from tests.harness.platforms import simulated

INPUTS: Final = int(os.environ.get("HERALD_FUZZ_EXAMPLES", "0"))
"""How many inputs of chance each operation is tried with, beside those that follow from the document; 0: few."""
FEW: Final = 3
REFUSED: Final = [400, 401, 404, 405, 412, 413, 415, 422]
CHECKS: Final = {
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
    "response_headers_conformance",
    "negative_data_rejection",
    "unsupported_method",
    "ignored_auth",
}
Json = dict[str, Any]


@pytest.fixture
async def herald(sqlite_template: bytes, tmp_path: Path) -> AsyncIterator[Herald]:
    """One bot on both channels, and one whose Slack app is installed by OAuth."""
    (tmp_path / "herald.db").write_bytes(sqlite_template)
    async with simulated(people=5) as platforms:
        bots = (
            bot(msteams=teams_side(), slack=slack_side()),
            bot(2, slack=slack_oauth(client_id="9.9", signing_secret="x" * 32)),
        )
        whole = settings(platforms, f"sqlite:///{tmp_path / 'herald.db'}", *bots)
        async with harness.served(write_settings(tmp_path, whole)) as opened:
            yield opened


async def _described(herald: Herald) -> Json:
    async with herald.http.get(f"{herald.url}{PATH}") as answer:
        assert (200, "application/json") == (answer.status, answer.content_type)
        found: Json = await answer.json()
        return found


def _shape(path: str) -> str:
    return re.sub(r"st-[0-9a-f-]{36}|\{[^}]*\}", "{}", path)


class TestPage:
    async def test_every_route(self, herald: Herald) -> None:
        """The description holds exactly the routes of the server, names its address and no bot, and needs no token."""
        assert herald.app is not None
        found = await _described(herald)

        described = {(method.upper(), _shape(path)) for path, methods in found["paths"].items() for method in methods}

        assert {(method, _shape(path)) for method, path in served(herald.app.router)} == described
        assert [{"url": herald.url}] == found["servers"]
        assert BOT[:-1] not in str(found)


def _config(herald: Herald) -> schemathesis.Config:
    phases = {"examples": True, "coverage": True, "fuzzing": True, "stateful": bool(INPUTS)}
    return schemathesis.Config.from_dict(
        {
            "seed": int(os.environ.get("HERALD_FUZZ_SEED", "1")),
            "base-url": herald.url,
            "parameters": {"path.botId": BOT, "path.BotID": BOT},
            "auth": {"openapi": {"auth": {"api_key": herald.token}}},
            "generation": {"max-examples": INPUTS or FEW, "database": "none"},
            "phases": {name: {"enabled": enabled} for name, enabled in phases.items()},
            # its body is that of the send calls: what follows from it follows from theirs, and costs as much again
            "operations": [{"include-operation-id": "preview", "phases": {"coverage": {"enabled": bool(INPUTS)}}}],
            "checks": {
                "negative_data_rejection": {"expected-statuses": REFUSED},
                # what a platform would refuse, no schema can say
                "positive_data_acceptance": {"expected-statuses": [200, 302, *REFUSED]},
            },
            "continue-on-failure": True,
        }
    )


@dataclass
class Tried:
    """What came of a run: statuses by operation, checks that were made, and what they found."""

    statuses: dict[str, set[int]] = field(default_factory=lambda: defaultdict(set))
    checks: set[str] = field(default_factory=set)
    findings: list[str] = field(default_factory=list)

    def note(self, scenario: events.ScenarioFinished) -> None:
        """Note what a scenario has tried and found."""
        record = scenario.recorder
        for tried in record.interactions.values():
            if tried.response is not None:
                self.statuses[str(scenario.label)].add(tried.response.status_code)
        for check in (each for checks in record.checks.values() for each in checks):
            self.checks.add(check.name)
            if check.failure_info is not None:
                found = check.failure_info
                self.findings.append(f"{scenario.label} {check.name}: {found.failure.message}\n{found.code_sample}")


def _try(document: Json, config: schemathesis.Config) -> Tried:
    """Send what the document permits and what it forbids, and judge every answer by it."""
    tried = Tried()
    for event in from_schema(schemathesis.openapi.from_dict(document, config=config)).execute():
        match event:
            case events.ScenarioFinished():
                tried.note(event)
            case events.NonFatalError():
                tried.findings.append(f"{event.label}: {event.value!r}")
            case events.FatalError():
                tried.findings.append(repr(event.exception))
    return tried


@pytest.mark.timeout(1200)
@pytest.mark.filterwarnings("ignore:Generating overly large repr")  # Hypothesis names an input that it sent
@pytest.mark.filterwarnings("ignore:Do not use the `random` module")  # the server does, in the same process
async def test_nothing_is_wrong(herald: Herald) -> None:
    """Whatever the description permits or forbids, no call makes the server fail, and each is answered as it says."""
    document = await _described(herald)

    tried = await asyncio.to_thread(_try, document, _config(herald))

    assert [] == tried.findings, "\n\n".join(tried.findings)
    operations = {f"{method.upper()} {path}" for path, methods in document["paths"].items() for method in methods}
    assert operations <= set(tried.statuses)
    posts = {operation for operation in operations if "/{botId}/" in operation and operation.startswith("POST")}
    assert posts == {operation for operation in posts if {200, 401, 412} <= tried.statuses[operation]}
    assert CHECKS <= tried.checks
