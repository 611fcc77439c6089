"""S05, S07: every route, from the server's own table: nothing without a credential, nothing of another bot.

A route that is new is tested without being named here: whatever is not listed as open to everybody must refuse.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from notify.front import ALWAYS
from simulator.slack.apps import DEFAULT_CLIENT_ID, DEFAULT_CLIENT_SECRET
from tests.harness.herald import (
    BOT,
    Herald,
    Json,
    bot,
    caller_token,
    secret_of,
    served,
    settings,
    slack_oauth,
    slack_side,
    teams_side,
    text_body,
    write_settings,
)
from tests.harness.platforms import SLACK, Platforms, simulated

OTHER = f"{BOT[:-1]}2"
API = "/api/public/"
OPEN = (
    r"/health/(live|ready)",
    r"/metrics",
    r"/docs.*",
    r"/openapi\.json",
    r"/favicon\.ico",
    r"/console/?(login|static/.*)?",
    r"/slack/\{[^}]+\}/(install|oauth_redirect)",  # a browser's: guarded by a one-time state
)
"""Routes that answer everybody."""
READER: Json = {"client_id": "cs-reader", "secret": secret_of("cs-reader"), "scopes": ["somewhere:else"]}
ADMIN: Json = {"client_id": "cs-admin", "secret": secret_of("cs-admin")}


@pytest.fixture
async def platforms() -> AsyncIterator[Platforms]:
    async with simulated(people=5) as opened:
        yield opened


@pytest.fixture
async def herald(platforms: Platforms, database_url: str, tmp_path: Path) -> AsyncIterator[Herald]:
    """Two bots, each with its client, one of them with a client that lacks the scope; and an administrator's client."""
    clients: list[Json] = [{"client_id": "cs-payroll", "secret": secret_of("cs-payroll")}, READER]
    second = slack_oauth(
        client_id=f"{DEFAULT_CLIENT_ID}9", client_secret=DEFAULT_CLIENT_SECRET, signing_secret="x" * 32
    )
    whole = settings(
        platforms,
        database_url,
        bot(msteams=teams_side(), slack=slack_side(), clients=clients),
        bot(2, slack=second),
        server={"public_url": "https://herald.example.com", "trusted_proxies": ["127.0.0.0/8"]},
    )
    async with served(write_settings(tmp_path, {**whole, "clients": [ADMIN]})) as opened:
        yield opened


def table(herald: Herald) -> list[tuple[str, str]]:
    """Method and path of every route; HEAD goes with its GET."""
    assert herald.app is not None
    found = []
    for route in herald.app.router.routes():
        assert isinstance(route, web.AbstractRoute)
        if route.resource is not None and route.method != "HEAD":
            found.append(("GET" if route.method == "*" else route.method, route.resource.canonical))
    return found


def filled(path: str, bot_id: str = BOT, request: str = "ds-00000000-0000-5000-8000-000000000000") -> str:
    """A path with something in the place of each name."""
    path = re.sub(r"\{(bot_id|BotID|bot|streamId)\}", bot_id, path)
    path = re.sub(r"\{[^}]*(request|dockstatus)[^}]*\}", request, path)
    return re.sub(r"\{[^}]+\}", "anything", path)


def is_open(path: str) -> bool:
    return any(re.fullmatch(pattern, path) for pattern in OPEN)


async def call(herald: Herald, method: str, path: str, **headers: str) -> tuple[int, Any]:
    body = text_body(SLACK, ["ada@contoso.example"]) if method in ("POST", "PUT", "PATCH") else None
    url = f"{herald.url}{path}"
    async with herald.http.request(method, url, headers=headers, json=body, allow_redirects=False) as answer:
        is_json = answer.content_type == "application/json"
        return answer.status, await answer.json() if is_json else await answer.text()


class TestRefused:
    async def test_s05_without_credential(self, herald: Herald) -> None:
        """S05: every route that is not meant for everybody refuses a call without a credential."""
        routes = table(herald)
        closed = [(method, path) for method, path in routes if not is_open(path)]

        answers = {(method, path): (await call(herald, method, filled(path)))[0] for method, path in closed}

        assert len(closed) >= 5
        # 302 and 303 lead to a login page
        assert {route: status for route, status in answers.items() if status not in (401, 403, 302, 303)} == {}

    async def test_s05_api_shape(self, herald: Herald) -> None:
        """S05: on the API's routes the refusal is Kore's, whichever route and bot it is."""
        for method, path in table(herald):
            if not path.startswith(API):
                continue
            for place in (BOT, OTHER, "st-00000000-0000-5000-8000-00000000ffff"):
                answer = await call(herald, method, filled(path, place))

                assert answer == (401, {"errors": [{"msg": "Invalid SDK credentials", "code": 4002}]}), (method, path)

    async def test_s07_scope(self, herald: Herald) -> None:
        """S07: a client without the scope is refused on every route of the API."""
        for method, path in table(herald):
            if path.startswith(API):
                status, body = await call(herald, method, filled(path), auth=caller_token("cs-reader"))

                assert (status, body["errors"][0]["msg"]) == (401, "Permission denied. Scope is incorrect!"), path

    async def test_forged_platform_calls(self, herald: Herald) -> None:
        """The platforms' routes believe no caller's token."""
        for method, path in table(herald):
            if not path.startswith(API) and not is_open(path):
                headers = {"auth": herald.token, "Authorization": f"Bearer {herald.token}"}
                status, _ = await call(herald, method, filled(path), **headers)

                assert status in (401, 403, 302, 303), (method, path, status)


class TestOtherBot:
    async def test_s05_foreign_path(self, herald: Herald) -> None:
        """S05: the client of one bot gets nothing on any route of another, and cannot tell that it exists."""
        unknown = "st-00000000-0000-5000-8000-00000000ffff"
        for method, path in table(herald):
            if path.startswith(API):
                answer = await call(herald, method, filled(path, OTHER), auth=herald.token)

                assert answer == (401, {"errors": [{"msg": "Invalid SDK credentials", "code": 4002}]}), (method, path)
                assert answer == await call(herald, method, filled(path, unknown), auth=herald.token)

    async def test_s05_foreign_request(self, herald: Herald, platforms: Platforms) -> None:
        """S05, K12: the request of another bot and an unknown one are answered alike, to clients and administrators."""
        request = await herald.notify(SLACK, platforms.emails(2))
        await herald.final(request)
        other = herald.as_bot(2)
        nobody = "ds-00000000-0000-5000-8000-00000000ffff"
        reading = [path for method, path in table(herald) if path.startswith(API) and "request" in path]
        assert reading
        for path in reading:
            for token in (other.token, caller_token("cs-admin")):
                foreign = await call(herald, "GET", filled(path, OTHER, request), auth=token)
                unknown = await call(herald, "GET", filled(path, OTHER, nobody), auth=token)

                assert foreign == unknown == (400, {"errors": [{"msg": "Invalid request ID", "code": 400}]})
            status, record = await call(herald, "GET", filled(path, BOT, request), auth=caller_token("cs-admin"))
            assert (status, record["_id"]) == (200, request)

    async def test_s05_own(self, herald: Herald, platforms: Platforms) -> None:
        """S05: the same calls by the bot's own client work, so the refusals above mean something."""
        record = await herald.deliver(SLACK, platforms.emails(2))

        assert record["streamId"] == BOT
        assert record["status"] == "SUCCESS"

    async def test_s06_ids(self, herald: Herald, platforms: Platforms) -> None:
        """S06: ids of requests and entries share nothing from which another could be guessed."""
        records = [await herald.deliver(SLACK, platforms.emails(2)) for _ in range(4)]

        ids = [record["_id"] for record in records] + [
            entry[name] for record in records for entry in record["statusLogs"] for name in ("_id", "messagestoreId")
        ]
        bodies = [each.partition("-")[2] for each in ids]
        assert len(set(ids)) == len(ids)
        for length in range(8, 14):
            assert len({body[:length] for body in bodies}) == len(bodies)
            assert len({body[-length:] for body in bodies}) == len(bodies)


class TestTable:
    async def test_no_method_slips(self, herald: Herald) -> None:
        """On the API's routes any other method is refused, before anybody is asked who calls."""
        for method, path in table(herald):
            if path.startswith(API):
                for wrong in {"GET", "POST", "PUT", "DELETE", "PATCH"} - {method}:
                    status, body = await call(herald, wrong, filled(path))

                    assert (status, body["errors"][0]["code"]) == (405, 405), (wrong, path)


class TestAnswers:
    async def test_headers(self, herald: Herald) -> None:
        """Every answer of every route, refused or not, and of what is no route, carries the same careful headers."""
        policy = "Content-Security-Policy"
        common = {**dict(ALWAYS), "Strict-Transport-Security": "max-age=31536000"}
        nowhere = [(method, path) for method in ("GET", "POST", "BREW") for path in ("/", "/nowhere", f"{API}nowhere")]
        wrong = [("DELETE", path) for _, path in table(herald)]
        seen = set()
        for method, path in [*table(herald), *nowhere, *wrong]:
            for headers in ({}, {"auth": caller_token("cs-admin")}, {"Expect": "wonders"}):
                url = f"{herald.url}{filled(path, OTHER)}"
                async with herald.http.request(method, url, headers=headers, allow_redirects=False) as answer:
                    found = answer.headers
                    seen.add(answer.status)
                if path.startswith("/slack/") and found["Content-Type"].startswith("text/html"):
                    assert "default-src 'none'" in found[policy]
                    assert "frame-ancestors 'none'" in found[policy]
                else:
                    assert found[policy] == common[policy], (method, path)
                assert {(name, found.get(name)) for name in common if name != policy} == {
                    (name, value) for name, value in common.items() if name != policy
                }, (method, path)
        assert seen >= {200, 302, 400, 401, 404, 405, 417}

    async def test_plain_http(self, platforms: Platforms, database_url: str, tmp_path: Path) -> None:
        """Where the world reaches the server by plain http, no browser is told to insist on https."""
        path = write_settings(tmp_path, settings(platforms, database_url))
        async with served(path) as opened, opened.http.get(f"{opened.url}/health/live") as answer:
            assert "Strict-Transport-Security" not in answer.headers
            assert answer.headers["X-Content-Type-Options"] == "nosniff"

    async def test_whose_call(self, herald: Herald, caplog: pytest.LogCaptureFixture) -> None:
        """Behind a trusted proxy the log names the caller's address, not the proxy's."""
        headers = {"X-Forwarded-For": "203.0.113.9, 192.0.2.7"}
        async with herald.http.post(f"{herald.url}/slack/{BOT}/events", data=b"{}", headers=headers) as answer:
            assert answer.status == 401

        (refused,) = [each.__dict__ for each in caplog.records if "slack.inbound.refused" in str(each.__dict__)]
        assert refused["remote"] == "192.0.2.7"
