"""S05, K12: two bots in two workspaces on one server: neither learns anything of the other's, not even in time.

The routes come from the server's own table; a route with a name in its path that is not known here fails the test.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

import pytest
from sqlalchemy import event

from adapters.slack import door
from app import DATABASE, RUNNER
from simulator.slack.apps import DEFAULT_SIGNING_SECRET
from storage import installations
from tests.harness.herald import BOT, Herald, Json, bot, served, settings, slack_oauth, text_body, write_settings
from tests.harness.platforms import SLACK, Platforms, simulated, workspace_id
from tests.security.test_routes import API, table

OTHER: Final = f"{BOT[:-1]}2"
SECOND: Final[Json] = {
    "client_id": "3000000000003.3",
    "client_secret": "second client secret",
    "signing_secret": "second signing secret",
}
NOBODY: Final = "ds-00000000-0000-5000-8000-00000000ffff"
MOVING: Final = ("Date", "RateLimit")
"""Headers that differ between any two calls."""
KNOWN_NAMES: Final = frozenset({"bot_id", "request_id", "BotID"})
"""The names in paths that the tests below put something foreign into."""


@dataclass
class Answer:
    """What a caller can tell: everything but the date, and what it cost the database."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes
    statements: list[str]


@dataclass
class Pair:
    """The same server for the clients of both bots."""

    first: Herald
    second: Herald
    platforms: Platforms

    @contextmanager
    def recorded(self) -> Iterator[list[str]]:
        """Every statement while a block runs."""
        assert self.first.app is not None
        engine = self.first.app[DATABASE].engine.sync_engine
        statements: list[str] = []

        def note(_c: Any, _k: Any, statement: str, *_: Any) -> None:
            statements.append(statement)

        event.listen(engine, "before_cursor_execute", note)
        try:
            yield statements
        finally:
            event.remove(engine, "before_cursor_execute", note)

    async def ask(self, by: Herald, method: str, path: str, body: Json | None = None) -> Answer:
        """One call of the API under the bot's path."""
        url = f"{by.url}/api/public/bot/{by.bot}/{path}"
        with self.recorded() as statements:
            async with by.http.request(method, url, headers={"auth": by.token}, json=body) as answer:
                headers = [(name, value) for name, value in answer.headers.items() if name not in MOVING]
                return Answer(answer.status, headers, await answer.read(), list(statements))

    async def from_slack(self, secret: str, path: str, raw: bytes, kind: str) -> int:
        """A call with Slack's signature."""
        moment = str(int(time.time()))
        headers = {
            "Content-Type": kind,
            "X-Slack-Request-Timestamp": moment,
            "X-Slack-Signature": door.signature(secret.encode(), moment, raw).decode(),
        }
        async with self.first.http.post(f"{self.first.url}{path}", data=raw, headers=headers) as answer:
            return answer.status


@pytest.fixture(name="pair")
async def _pair(database_url: str, tmp_path: Path) -> AsyncIterator[Pair]:
    """Bot 1 in the first workspace, bot 2 in the second; nothing is drained, so every statement is a caller's."""
    async with simulated(tenants=2, workspaces=2, people=10) as platforms:
        await platforms.control("slack/apps", {**SECOND, "app_id": "A0SECOND"})
        bots = bot(slack=slack_oauth()), bot(2, slack=slack_oauth(**SECOND))
        whole = settings(platforms, database_url, *bots)
        async with served(write_settings(tmp_path, whole)) as first:
            second = first.as_bot(2)
            await first.connect(platforms, SLACK)
            await second.connect(platforms, SLACK, slack_app="A0SECOND")
            await first.install_slack(platforms, team=workspace_id(0))
            await second.install_slack(platforms, team=workspace_id(1))
            yield Pair(first, second, platforms)


async def quiet(pair: Pair) -> None:
    """Nothing drains any more: what is still recorded is asked by a caller."""
    assert pair.first.app is not None
    await pair.first.app[RUNNER].stop(1.0)


class TestTable:
    async def test_s05_names(self, pair: Pair) -> None:
        """S05: no route takes a name that these tests put nothing foreign into."""
        names = {name for _, path in table(pair.first) for name in re.findall(r"\{([^}]+)\}", path)}

        assert names <= KNOWN_NAMES


class TestOfAnother:
    async def test_s05_api(self, pair: Pair) -> None:
        """S05, K12: on every route what belongs to the other bot is answered as what does not exist: the same status,
        headers, body and the same statements."""
        theirs = pair.platforms.emails(2, tenant=1)
        request = await pair.second.notify(SLACK, theirs)
        await pair.second.final(request)
        await quiet(pair)
        reading = [path for method, path in table(pair.first) if path.startswith(API) and "{request_id}" in path]
        assert len(reading) >= 2
        for path in reading:
            route = path.partition("{bot_id}/")[2]
            foreign = await pair.ask(pair.first, "GET", route.replace("{request_id}", request))
            unknown = await pair.ask(pair.first, "GET", route.replace("{request_id}", NOBODY))

            assert foreign == unknown
            assert (foreign.status, len(foreign.statements) > 0) == (400, True)

        person, stranger = theirs[0], re.sub(r"[a-z](?=@)|\d(?=@)", "x", theirs[0])
        assert len(person) == len(stranger)
        message: Json = {"type": "text", "val": "Hello"}
        for known, other in ((person, stranger), (workspace_id(1), "T0SIM9999")):
            for route, body in posts(message, person=known if "@" in known else stranger, tenant=known).items():
                same = json.loads(json.dumps(body).replace(known, other))
                foreign = await pair.ask(pair.first, "POST", route, body)
                unknown = await pair.ask(pair.first, "POST", route, same)

                assert neutral(foreign, known) == neutral(unknown, other), route
                assert foreign.statements == unknown.statements, route
                assert foreign.status == (412 if "options" in body and route != "preview" else 200), (route, foreign)

        asked = {"channel": SLACK, "identity": person}
        own = [await pair.ask(pair.second, "POST", "identities/explain", asked | {"identity": each})
               for each in (person, stranger)]  # fmt: skip
        assert neutral(own[0], person) != neutral(own[1], stranger)

    async def test_s05_keys_and_ids(self, pair: Pair) -> None:
        """S05, K07: a key, a user id and a state of one bot are nothing to the other."""
        theirs = await pair.platforms.slack_user(pair.platforms.emails(1, tenant=1)[0], workspace_id(1))
        body = text_body(SLACK, pair.platforms.emails(1))
        keys = {"Idempotency-Key": "one key for both"}
        answers = [(await by.post(body, **keys))[1]["_id"] for by in (pair.second, pair.first, pair.second)]
        assert (answers[0] == answers[2], answers[0] == answers[1]) == (True, False)
        await pair.first.final(answers[1])

        before = len(await pair.platforms.messages(SLACK, tenant=workspace_id(1)))
        record = await pair.first.deliver(SLACK, [theirs["id"]], userIdentityType="donotresolve")
        assert record["status"] == "FAILURE"
        assert before == len(await pair.platforms.messages(SLACK, tenant=workspace_id(1)))

        url = f"{pair.first.url}/slack/{BOT}/install"
        async with pair.first.http.get(url, allow_redirects=False) as answer:
            consent, cookies = answer.headers["Location"], {name: each.value for name, each in answer.cookies.items()}
        back = await pair.platforms.control("slack/authorize", {"authorize_url": consent, "team": workspace_id(0)})
        async with pair.first.http.get(back["location"].replace(BOT, OTHER), cookies=cookies) as answer:
            assert answer.status == 401
        assert pair.first.app is not None
        async with pair.first.app[DATABASE].read() as tx:
            assert await installations.get(tx, bot_id=OTHER, channel=SLACK, tenant_id=workspace_id(0)) is None

    async def test_s05_platform(self, pair: Pair) -> None:
        """S05: what Slack signs for one bot is refused by the other, and records nothing of the other's messages."""
        person = pair.platforms.emails(1)[0]
        buttons: Json = {"type": "actions", "elements": [{"type": "button", "action_id": "a", "value": "1",
                         "text": {"type": "plain_text", "text": "Go"}}]}  # fmt: skip
        val = {"text": "Go?", "blocks": [buttons]}
        body = text_body(SLACK, [person]) | {"message": {"type": "script", "val": val}}
        request = await pair.first.accept(body)
        await pair.first.final(request)
        [message] = await pair.platforms.messages(SLACK, email=person)
        event_ = json.dumps(
            {"type": "event_callback", "team_id": workspace_id(0), "event_id": "Ev1", "event": {"type": "x"}}
        )
        statuses = [
            await pair.from_slack(
                DEFAULT_SIGNING_SECRET, f"/slack/{OTHER}/events", event_.encode(), "application/json"
            ),
            await pair.from_slack(
                SECOND["signing_secret"], f"/slack/{BOT}/events", event_.encode(), "application/json"
            ),
        ]
        assert statuses == [401, 401]
        for team in (workspace_id(0), workspace_id(1)):
            press = {
                "type": "block_actions",
                "team": {"id": team},
                "user": {"id": message["user_id"], "team_id": team},
                "container": {
                    "type": "message",
                    "message_ts": message["message_id"],
                    "channel_id": message["conversation"],
                },
                "actions": [{"action_id": "a", "block_id": "b", "type": "button", "value": "1", "action_ts": "1.2"}],
            }
            raw = urlencode({"payload": json.dumps(press)}).encode()
            kind = "application/x-www-form-urlencoded"
            assert 200 == await pair.from_slack(SECOND["signing_secret"], f"/slack/{OTHER}/interactivity", raw, kind)
            [entry] = (await pair.first.status(request))["statusLogs"]
            assert "responses" not in entry["details"]
        ours = await pair.from_slack(
            DEFAULT_SIGNING_SECRET, f"/slack/{BOT}/interactivity", raw.replace(b"0001", b"0000"), kind
        )
        [entry] = (await pair.first.status(request))["statusLogs"]
        assert (ours, len(entry["details"]["responses"])) == (200, 1)


def posts(message: Json, *, person: str, tenant: str) -> dict[str, Json]:
    """A body for each call that takes one, about this person, in this tenant if it is one."""
    pinned: Json = {} if "@" in tenant else {"options": {"tenant": tenant}}
    v1 = {"channel": SLACK, "userIdentityType": "resolve", "message": message, "identities": [person], **pinned}
    v2 = {"channel": SLACK, "content": message, "identities": [{"email": person}], **pinned}
    return {
        "notify?dryRun=true": v1,
        "notifyV2?dryRun=true": v2,
        "preview": v1,
        "identities/explain": {"channel": SLACK, "identity": person, **pinned},
        **({} if not pinned else {"notify": v1, "notifyV2": v2}),
    }


def neutral(answer: Answer, name: str) -> tuple[int, list[tuple[str, str]], bytes]:
    """An answer without the name that was asked for, and without the ids and moments of this very call."""
    body = re.sub(rb"(ds|nl|u|dr)-[0-9a-f-]{36}|\d{4}-\d\d-\d\dT[\d:.]+Z", b"", answer.body)
    return answer.status, answer.headers, body.replace(name.encode(), b"")
