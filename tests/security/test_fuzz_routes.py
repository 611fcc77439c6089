"""K01, S14: a whole Herald over HTTP: whatever is called, with whatever it says, nothing breaks and nothing hangs."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlencode

import pytest
from yarl import URL

from simulator.slack.apps import DEFAULT_CLIENT_ID
from tests.harness.herald import (
    BOT,
    Herald,
    bot,
    served,
    settings,
    slack_oauth,
    slack_side,
    teams_side,
    text_body,
    v2_body,
    write_settings,
)
from tests.harness.platforms import Platforms, simulated
from tests.integration.slack import kit as slack_kit
from tests.security.fuzzing import ASKED, Tape, bent_bytes, bent_json, bent_text
from tests.security.test_odd_events import PRESS
from tests.security.test_routes import OTHER, filled, table

CALLS: Final = max(200, ASKED)
AT_ONCE: Final = 16
SECONDS: Final = 30.0  # for one answer, with sixteen at once on a busy machine
METHODS: Final = ("GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "TRACE", "PROPFIND", "POST")
SIGNING: Final = str(slack_side()["signing_secret"])
BODIES: Final[list[Any]] = [
    text_body("slack", ["ada@contoso.example"], dryRun=True),
    v2_body(
        "msteams", {"type": "text", "value": "Hello {name}"}, [{"email": "a@b.example", "parameters": {"name": "A"}}]
    ),
    {"channel": "slack", "identity": "ada@contoso.example"},
    slack_kit.wrapped({"type": "app_home_opened", "user": "U1", "channel": "D1", "tab": "home"}),
    {"type": "message", "channelId": "msteams", "serviceUrl": "https://smba.trafficmanager.net/emea/", "text": "hi"},
]
FORM: Final = urlencode({"payload": json.dumps(PRESS)}).encode()
HEADERS: Final = (
    *("Content-Type", "Accept", "Idempotency-Key", "auth", "Authorization", "Content-Encoding", "Range", "Expect"),
    *("X-Forwarded-For", "X-Forwarded-Proto", "Forwarded", "X-Request-Id", "traceparent", "If-Match", "Cookie", "Host"),
    *("X-Slack-Signature", "X-Slack-Request-Timestamp", "X-Slack-Retry-Num", "x-ms-tenant-id", "Origin", "Upgrade"),
)
VALUES: Final = (
    "application/json",
    "text/plain",
    "application/x-www-form-urlencoded",
    "*/*",
    "1",
    "gzip",
    "00-1-2-3",
    "Bearer x",
    "slack-app-oauth-state=2",
)


@pytest.fixture
def database_kind() -> str:
    """What a route answers does not depend on the database."""
    return "sqlite"


@pytest.fixture
async def platforms() -> AsyncIterator[Platforms]:
    async with simulated(people=5) as opened:
        yield opened


@pytest.fixture
async def herald(platforms: Platforms, database_url: str, tmp_path: Path) -> AsyncIterator[Herald]:
    second = slack_oauth(client_id=f"{DEFAULT_CLIENT_ID}9", signing_secret="x" * 32)
    bots = (bot(msteams=teams_side(), slack=slack_side()), bot(2, slack=second))
    whole = settings(platforms, database_url, *bots, server={"drain": False})
    async with served(write_settings(tmp_path, whole)) as opened:
        yield opened


def printable(said: str) -> str:
    """What aiohttp's client lets into a header."""
    return "".join(each if each.isprintable() and each.isascii() else "?" for each in said)[:4000]


def request(herald: Herald, tape: Tape, method: str, path: str) -> tuple[str, str, dict[str, str], bytes]:
    """Method, path, headers and body of one call; three of four have good credentials."""
    path = filled(path, tape.one_of((BOT, BOT, BOT, OTHER)) if tape.below(8) else bent_text(BOT, tape)[:300])
    path = quote(path, safe="/-_.~%", errors="surrogatepass")
    if tape.below(3) == 0:
        path += "?" + quote(
            bent_text(tape.one_of(("dryRun=true", "team=T1", "code=1&state=2", "limit=5")), tape)[:300],
            safe="=&",
            errors="surrogatepass",
        )
    body = tape.one_of([*(bent_json([each], tape) for each in BODIES), bent_bytes(FORM, tape), b""])
    headers = {"Content-Type": "application/json"}
    if tape.below(4):
        headers |= {"auth": herald.token, **slack_kit.signed(body, int(time.time()), SIGNING)}
    for _ in range(tape.below(3)):
        headers[tape.one_of(HEADERS)] = printable(bent_text(tape.one_of(VALUES), tape))
    return method if tape.below(8) else tape.one_of(METHODS), path, headers, body


async def test_every_route(herald: Herald) -> None:
    """K01: whatever a stranger, a caller or a platform sends to any route is answered in time, and never by a 5xx."""
    odd = ("/", "/anything", f"/teams/{BOT}/messages/x", "//api//public", "/api/public/../x")
    routes = [*table(herald), *(("GET", path) for path in odd)]
    chance = random.Random(20)
    broken: list[str] = []
    answers: Counter[int] = Counter()

    async def some(count: int) -> None:
        for _ in range(count):
            tape = Tape(chance.randbytes(96))
            method, path, headers, body = request(herald, tape, *tape.one_of(routes))
            async with asyncio.timeout(SECONDS):
                async with herald.http.request(
                    method, URL(f"{herald.url}{path}", encoded=True), headers=headers, data=body, allow_redirects=False
                ) as answer:
                    await answer.read()
            answers[answer.status] += 1
            if answer.status >= 500:
                broken.append(f"{answer.status} {method} {path} {headers} {body[:200]!r}")

    await asyncio.gather(*(some(CALLS // AT_ONCE) for _ in range(AT_ONCE)))

    assert broken == []
    assert len(answers) >= 5, answers
