"""Installing the app by OAuth, and what an installation still needs afterwards."""

from __future__ import annotations

import html
import json
import re
from collections.abc import AsyncIterator
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from sqlalchemy import select

from adapters.base import ENTRY, ChannelName, Chore, ChoreDone, ChoreLater, Lane, TenantId
from adapters.slack.chores import SlackIdentify, SlackTeams
from adapters.slack.config import SlackApp
from adapters.slack.install import SlackInstall
from adapters.slack.installations import IDENTIFY, TEAMS
from storage import chores, installations
from storage.tables import oauth_states
from tests.integration.slack.kit import BOT, ORG, SIGNING_SECRET, TEAM, SlackSide, StubSlack, serving_side

SLACK = ChannelName.SLACK
GRANT: dict[str, Any] = {
    "ok": True,
    "app_id": "A0APP",
    "authed_user": {"id": "U9"},
    "scope": "chat:write,users:read",
    "token_type": "bot",
    "access_token": "xoxb-granted",
    "bot_user_id": "U0BOT",
    "team": {"id": TEAM, "name": "Work & Co <b>"},
    "enterprise": None,
    "is_enterprise_install": False,
}
ORG_GRANT = {**GRANT, "team": None, "enterprise": {"id": ORG, "name": "Org"}, "is_enterprise_install": True}


@pytest.fixture(name="url")
async def served_url(side: SlackSide, stub: StubSlack) -> AsyncIterator[str]:
    stub.replies["oauth.v2.access"] = lambda _: GRANT
    async with serving_side(side) as url:
        yield url


async def begin(side: SlackSide, url: str, query: str = "") -> tuple[dict[str, list[str]], str]:
    """Open the install page; returns the consent page's query and the cookie."""
    async with side.http.get(f"{url}/slack/{BOT}/install{query}", allow_redirects=False) as answer:
        assert answer.status == 302
        assert answer.headers["Location"].startswith(f"{side.endpoints.authorize}?")
        [cookie] = SimpleCookie(answer.headers["Set-Cookie"]).values()
        return parse_qs(urlsplit(answer.headers["Location"]).query), f"{cookie.key}={cookie.value}"


async def finish(side: SlackSide, url: str, query: str, cookie: str = "") -> tuple[int, str]:
    """Come back from the consent page; returns status and page."""
    headers = {"Cookie": cookie} if cookie else {}
    async with side.http.get(f"{url}/slack/{BOT}/oauth_redirect?{query}", headers=headers) as answer:
        policy = {part.strip() for part in answer.headers["Content-Security-Policy"].split(";")}
        assert {"default-src 'none'", "frame-ancestors 'none'"} < policy
        assert not any(part.startswith(("script-src", "base-uri", "form-action")) for part in policy)
        assert (answer.headers["X-Content-Type-Options"], answer.headers["Referrer-Policy"]) == (
            "nosniff",
            "no-referrer",
        )
        assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
        return answer.status, await answer.text()


async def install(side: SlackSide, url: str) -> tuple[int, str]:
    consent, cookie = await begin(side, url)
    return await finish(side, url, f"code=c0de&state={consent['state'][0]}", cookie)


async def asked(side: SlackSide, tenant: str) -> list[tuple[str, str]]:
    async with side.database.read() as tx:
        rows = await chores.due(tx, bot_id=BOT, channel=SLACK, tenant_id=tenant, now=side.clock() + 1, limit=10)
    return [(each.kind, each.key) for each in rows]


class TestTheFlow:
    """From the install page to a stored installation."""

    async def test_the_consent_page_is_asked_for_our_scopes(self, side: SlackSide, url: str) -> None:
        """Client id, scopes and a fresh state; each part encoded."""
        consent, _ = await begin(side, url)
        again, _ = await begin(side, url)

        assert consent["client_id"] == ["1.2"]
        assert consent["scope"] == ["chat:write,users:read,users:read.email"]
        assert consent["state"] != again["state"]

    @pytest.mark.parametrize(
        ("query", "expected"),
        [("?team=T0WORK", [TEAM]), ("?team=T0%0d%0aX:1", None), ("?team=a%26b", None), ("", None)],
    )
    async def test_a_team_is_passed_on(self, side: SlackSide, url: str, query: str, expected: list[str] | None) -> None:
        """S14: only what looks like a team id goes into the redirect."""
        consent, _ = await begin(side, url, query)

        assert consent.get("team") == expected

    async def test_an_install_is_stored_and_its_lanes_wake(self, side: SlackSide, stub: StubSlack, url: str) -> None:
        """The token is usable, the directory will be listed, waiting deliveries are looked at again."""
        status, page = await install(side, url)

        found = await side.installations.token_for(BOT, TEAM)
        assert status == 200
        assert "Work &amp; Co &lt;b&gt;" in page
        assert found is not None
        assert (found.token, found.bot_user_id) == ("xoxb-granted", "U0BOT")
        assert found.scopes == {"chat:write", "users:read"}
        assert await asked(side, TEAM) == [("slack.directory", "users")]
        assert side.woken == [Lane(BOT, SLACK, TEAM), Lane(BOT, SLACK, ENTRY)]
        assert [call.method for call in stub.heard] == ["oauth.v2.access"]

    @pytest.mark.parametrize("name", ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "&lt;b&gt;"])
    async def test_a_name_is_no_markup(self, side: SlackSide, stub: StubSlack, url: str, name: str) -> None:
        """S13: the name of a workspace or an org is shown as it is, and is never markup."""
        for grant in (
            GRANT | {"team": {"id": TEAM, "name": name}},
            ORG_GRANT | {"enterprise": {"id": ORG, "name": name}},
        ):
            stub.replies["oauth.v2.access"] = lambda _, grant=grant: grant  # type: ignore[misc]

            status, page = await install(side, url)

            assert status == 200
            assert name not in page
            assert html.unescape(page).count(name) == 1

    async def test_the_state_is_stored_as_a_hash(self, side: SlackSide, url: str) -> None:
        """S12: who reads the database finds no state that still works."""
        consent, _ = await begin(side, url)

        async with side.database.read() as tx:
            [stored] = (await tx.execute(select(oauth_states.c.state))).scalars()
        assert stored != consent["state"][0]
        assert len(stored) == 64

    async def test_the_token_is_encrypted(self, side: SlackSide, url: str) -> None:
        """No token in clear in the database."""
        await install(side, url)

        async with side.database.read() as tx:
            row = await installations.get(tx, bot_id=BOT, channel=SLACK, tenant_id=TEAM)
        assert row is not None
        assert row.token is not None
        assert b"xoxb" not in row.token

    async def test_an_org_install_asks_for_its_workspaces(self, side: SlackSide, stub: StubSlack, url: str) -> None:
        """The org has a row that is no lane; its workspaces are listed by a chore."""
        stub.replies["oauth.v2.access"] = lambda _: ORG_GRANT

        status, _ = await install(side, url)

        async with side.database.read() as tx:
            row = await installations.get(tx, bot_id=BOT, channel=SLACK, tenant_id=ORG)
        assert status == 200
        assert row is not None
        assert (row.is_org, row.enterprise_id) == (True, ORG)
        assert await asked(side, ENTRY) == [("slack.teams", ORG)]
        assert side.woken == [Lane(BOT, SLACK, ENTRY)]

    async def test_a_bot_without_oauth_is_404(self, side: SlackSide, url: str) -> None:
        """Bots with a token in the settings, and unknown bots, have no install page."""
        for path in ("install", "oauth_redirect"):
            async with side.http.get(f"{url}/slack/st-other/{path}") as answer:
                assert answer.status == 404

    async def test_an_app_without_client_is_refused_at_start(self, side: SlackSide) -> None:
        """The mistake shows when the process starts."""
        app = SlackApp(BOT, SIGNING_SECRET, bot_token="xoxb-1")

        with pytest.raises(ValueError, match="client_id"):
            SlackInstall(app, side.endpoints, side.database, side.client, side.installations, side.woken.append)

    @pytest.mark.parametrize(
        ("redirect_uri", "secure"),
        [(None, True), ("https://herald.example/r", True), ("http://localhost:8080/r", False)],
    )
    async def test_the_cookie_is_secure_where_it_can_be(
        self, side: SlackSide, redirect_uri: str | None, secure: bool
    ) -> None:
        """HttpOnly and SameSite always; Secure unless the redirect comes back by plain http."""
        answer = await side.oauth(redirect_uri).install(_request())

        [cookie] = answer.cookies.values()
        assert (bool(cookie["secure"]), bool(cookie["httponly"]), cookie["samesite"]) == (secure, True, "Lax")
        assert (redirect_uri is None) == ("redirect_uri" not in answer.headers["Location"])


def _request() -> web.Request:
    return make_mocked_request("GET", "/slack/x/install")


class TestRefusedRedirects:
    """Nobody installs with somebody else's state, and no failure is a raw 500."""

    async def test_a_state_works_once(self, side: SlackSide, stub: StubSlack, url: str) -> None:
        """A replay is refused before Slack is called."""
        consent, cookie = await begin(side, url)
        query = f"code=c0de&state={consent['state'][0]}"
        first, _ = await finish(side, url, query, cookie)
        second, _ = await finish(side, url, query, cookie)

        assert (first, second) == (200, 401)
        assert len(stub.heard) == 1

    async def test_another_browser_is_refused_and_the_state_stays(self, side: SlackSide, url: str) -> None:
        """Without the cookie nothing happens; the right browser may still finish."""
        consent, cookie = await begin(side, url)
        query = f"code=c0de&state={consent['state'][0]}"

        refused, page = await finish(side, url, query)
        accepted, _ = await finish(side, url, query, cookie)

        assert (refused, accepted) == (400, 200)
        assert "another browser session" in page

    async def test_a_state_expires(self, side: SlackSide, url: str) -> None:
        """After ten minutes the link is dead."""
        consent, cookie = await begin(side, url)
        side.clock.now += 601

        status, page = await finish(side, url, f"code=c0de&state={consent['state'][0]}", cookie)

        assert status == 401
        assert "too old" in page

    async def test_a_missing_code(self, side: SlackSide, url: str) -> None:
        """A redirect without code is refused."""
        consent, cookie = await begin(side, url)

        status, _ = await finish(side, url, f"state={consent['state'][0]}", cookie)

        assert status == 401

    async def test_a_cancelled_install(self, side: SlackSide, url: str) -> None:
        """The person said no: a friendly page."""
        status, page = await finish(side, url, "error=access_denied&state=x")

        assert status == 200
        assert "cancelled" in page

    async def test_an_error_is_shown_escaped(self, side: SlackSide, url: str) -> None:
        """S13: what stands in the address does not become markup."""
        _, page = await finish(side, url, "error=%3Cscript%3Ealert(1)%3C/script%3E")

        assert "<script>" not in page
        assert "Slack says: unreadable" in page

    @pytest.mark.parametrize(
        ("reply", "sentence"),
        [
            ({"ok": False, "error": "bad_redirect_uri"}, "Redirect URLs"),
            ({"ok": False, "error": "bad_client_secret"}, "client id and secret"),
            ({"ok": False, "error": "invalid_code"}, "Start the installation again"),
            ({"ok": False, "error": "never_seen"}, "never_seen"),
            (None, "check the network"),
        ],
    )
    async def test_slack_refuses_the_code(
        self, side: SlackSide, stub: StubSlack, url: str, reply: dict[str, Any] | None, sentence: str
    ) -> None:
        """The page says what to do; a dropped connection is no raw 500 either."""
        stub.replies["oauth.v2.access"] = lambda _: reply or web.Response(status=502, text="<html>")

        status, page = await install(side, url)

        assert status == 502
        assert sentence in page
        assert await side.installations.token_for(BOT, TEAM) is None

    @pytest.mark.parametrize(
        "change", [{"access_token": None}, {"team": None}, {"team": "T"}, {"is_enterprise_install": True}]
    )
    async def test_a_grant_without_token_or_place(
        self, side: SlackSide, stub: StubSlack, url: str, change: dict[str, Any]
    ) -> None:
        """An answer that grants nothing installs nothing."""
        stub.replies["oauth.v2.access"] = lambda _: {**GRANT, **change}

        status, _ = await install(side, url)

        assert status == 401
        assert await asked(side, TEAM) == []

    async def test_a_failing_database_is_a_503_page(self, side: SlackSide, url: str) -> None:
        """Neither step shows a traceback."""
        async with side.database.write() as tx:
            await tx.exec_driver_sql("ALTER TABLE oauth_states RENAME TO hidden")

        async with side.http.get(f"{url}/slack/{BOT}/install", allow_redirects=False) as answer:
            assert (answer.status, "database" in await answer.text()) == (503, True)

    async def test_no_code_or_token_is_logged(
        self, side: SlackSide, stub: StubSlack, url: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        """S12: neither on success nor on failure."""
        caplog.set_level("DEBUG")
        await install(side, url)
        stub.replies["oauth.v2.access"] = lambda _: {"ok": False, "error": "invalid_code"}
        await install(side, url)

        ours = "\n".join(each.getMessage() + str(each.__dict__) for each in caplog.records if "adapters" in each.name)
        assert not re.search("c0de|xoxb-|client-secret", ours)


class TestIdentify:
    """A token in the settings finds its workspace by itself."""

    def handler(self, side: SlackSide, token: str | None = "xoxb-settings") -> SlackIdentify:
        app = SlackApp(BOT, SIGNING_SECRET, bot_token=token)
        return SlackIdentify({BOT: app}, side.database, side.client, side.installations, side.woken.append)

    CHORE = Chore(1, Lane(BOT, SLACK, ENTRY), IDENTIFY, "token")

    def answer(self, **more: Any) -> web.Response:
        body = {"ok": True, "team_id": TEAM, "team": "Work", "user_id": "U0BOT", "bot_id": "B1", **more}
        return web.json_response(body, headers={"X-OAuth-Scopes": "chat:write,users:read"})

    async def test_it_is_asked_for_at_start(self, side: SlackSide) -> None:
        """Once, however often the process starts."""
        await side.installations.ensure_token_installation(BOT)
        lane = await side.installations.ensure_token_installation(BOT)

        assert lane == Lane(BOT, SLACK, ENTRY)
        assert await asked(side, ENTRY) == [(IDENTIFY, "token")]

    async def test_the_installation_is_stored(self, side: SlackSide, stub: StubSlack) -> None:
        """auth.test names workspace, bot and scopes; then the directory is listed."""
        stub.replies["auth.test"] = lambda _: self.answer()

        assert await self.handler(side)(self.CHORE, side.gate) == ChoreDone()

        found = await side.installations.token_for(BOT, TEAM)
        assert found is not None
        assert (found.token, found.platform_bot_id) == ("xoxb-settings", "B1")
        assert found.scopes == {"chat:write", "users:read"}
        assert await asked(side, TEAM) == [("slack.directory", "users")]
        assert side.woken == [Lane(BOT, SLACK, TEAM)]
        assert side.gate.entered == ["auth.test"]
        assert stub.heard[0].headers["Authorization"] == "Bearer xoxb-settings"

    async def test_an_org_token_asks_for_the_workspaces(self, side: SlackSide, stub: StubSlack) -> None:
        """An org-wide token leads to the teams chore."""
        stub.replies["auth.test"] = lambda _: self.answer(enterprise_id=ORG, is_enterprise_install=True)

        assert await self.handler(side)(self.CHORE, side.gate) == ChoreDone()
        assert await asked(side, ENTRY) == [(TEAMS, ORG)]

    async def test_an_unreachable_slack_is_asked_again(self, side: SlackSide, stub: StubSlack) -> None:
        """With growing pauses, for as long as it takes, and never as a failure that ends the chore."""
        stub.replies["auth.test"] = lambda _: web.Response(status=503)
        handler = self.handler(side)

        detail: dict[str, Any] = {}
        waits = []
        for _ in range(9):
            outcome = await handler(Chore(1, self.CHORE.lane, IDENTIFY, "token", detail), side.gate)
            assert isinstance(outcome, ChoreLater)
            assert outcome.fault is None
            waits.append(outcome.after)
            detail = dict(outcome.detail or {})

        assert waits == [5, 10, 20, 40, 80, 160, 300, 300, 300]

    async def test_throttling_holds_the_gate(self, side: SlackSide, stub: StubSlack) -> None:
        """A 429 is told to the lane."""
        stub.replies["auth.test"] = lambda _: web.Response(status=429, headers={"Retry-After": "7"})

        outcome = await self.handler(side)(self.CHORE, side.gate)

        assert isinstance(outcome, ChoreLater)
        assert (outcome.after, side.gate.held) == (7.0, [("auth.test", 7.0)])

    async def test_a_token_taken_out_of_the_settings_ends_it(self, side: SlackSide, stub: StubSlack) -> None:
        """Nothing is called."""
        assert isinstance(await self.handler(side, None)(self.CHORE, side.gate), ChoreDone)
        assert stub.heard == []

    async def test_another_workspaces_token_replaces_the_former(self, side: SlackSide, stub: StubSlack) -> None:
        """The settings name one workspace: the former is over."""
        await side.install("T0FORMER", "xoxb-former")
        stub.replies["auth.test"] = lambda _: self.answer()

        await self.handler(side)(self.CHORE, side.gate)

        assert await side.installations.token_for(BOT, TenantId("T0FORMER")) is None
        assert await side.installations.token_for(BOT, TEAM) is not None


class TestTeams:
    """The workspaces of an org."""

    CHORE = Chore(1, Lane(BOT, SLACK, ENTRY), TEAMS, ORG)

    def handler(self, side: SlackSide) -> SlackTeams:
        return SlackTeams(side.database, side.client, side.installations, side.woken.append, side.clock)

    def page(self, *teams: str, cursor: str = "") -> dict[str, Any]:
        listed = [{"id": each, "name": each.title()} for each in teams]
        return {"ok": True, "teams": listed, "response_metadata": {"next_cursor": cursor}}

    async def test_every_page_is_followed(self, side: SlackSide, stub: StubSlack) -> None:
        """Each workspace gets a row, a directory chore and a wake-up."""
        await side.install(None, "xoxb-org", ORG)
        pages = {"": self.page("T0A", cursor="next"), "next": self.page("T0B")}
        stub.replies["auth.teams.list"] = lambda call: pages[call.arguments.get("cursor", "")]
        handler = self.handler(side)

        first = await handler(self.CHORE, side.gate)
        assert isinstance(first, ChoreLater)
        second = await handler(Chore(1, self.CHORE.lane, TEAMS, ORG, first.detail or {}), side.gate)

        assert (first.after, second) == (0.0, ChoreLater(86400.0, detail={}))
        assert [str(lane.tenant) for lane in side.woken] == ["T0A", "T0B"]
        assert await asked(side, "T0B") == [("slack.directory", "users")]
        found = await side.installations.token_for(BOT, TenantId("T0A"))
        assert found is not None
        assert found.token == "xoxb-org"
        assert stub.heard[0].headers["Authorization"] == "Bearer xoxb-org"

    async def test_a_workspace_that_is_no_longer_listed_is_removed(self, side: SlackSide, stub: StubSlack) -> None:
        """The last page completes the picture."""
        await side.install(None, "xoxb-org", ORG)
        async with side.database.write() as tx:
            await side.installations.grant_access(tx, BOT, ORG, [("T0OLD", "")], side.clock() - 10)
        stub.replies["auth.teams.list"] = lambda _: self.page("T0A")

        await self.handler(side)(self.CHORE, side.gate)

        assert await side.installations.token_for(BOT, TenantId("T0OLD")) is None
        assert await side.installations.token_for(BOT, TenantId("T0A")) is not None

    async def test_an_org_that_is_gone_ends_it(self, side: SlackSide, stub: StubSlack) -> None:
        """Nothing is called."""
        assert isinstance(await self.handler(side)(self.CHORE, side.gate), ChoreDone)
        assert stub.heard == []

    async def test_an_expired_cursor_begins_again(self, side: SlackSide, stub: StubSlack) -> None:
        """The next try has no cursor."""
        await side.install(None, "xoxb-org", ORG)
        stub.replies["auth.teams.list"] = lambda _: {"ok": False, "error": "invalid_cursor"}

        outcome = await self.handler(side)(Chore(1, self.CHORE.lane, TEAMS, ORG, {"cursor": "old"}), side.gate)

        assert isinstance(outcome, ChoreLater)
        assert outcome.detail == {"tries": 1}

    async def test_a_list_without_end(self, side: SlackSide, stub: StubSlack) -> None:
        """A list that goes in a circle ends; what it showed is granted, and nothing is taken away."""
        await side.install(None, "xoxb-org", ORG)
        handler = self.handler(side)
        stub.replies["auth.teams.list"] = lambda _: self.page("T0A", "T0B")
        await handler(self.CHORE, side.gate)
        circle = {"": "A", "A": "B", "B": "A"}
        stub.replies["auth.teams.list"] = lambda call: self.page("T0C", cursor=circle[call.arguments.get("cursor", "")])

        outcomes = [await handler(self.CHORE, side.gate)]
        while isinstance(outcomes[-1], ChoreLater) and outcomes[-1].after == 0.0:
            chore = Chore(1, self.CHORE.lane, TEAMS, ORG, json.loads(json.dumps(outcomes[-1].detail)))
            outcomes.append(await handler(chore, side.gate))

        assert outcomes[-1] == ChoreLater(3600.0, detail={})
        assert len(outcomes) == 4
        for team in ("T0A", "T0B", "T0C"):
            assert await side.installations.token_for(BOT, TenantId(team)) is not None

    @pytest.mark.parametrize(
        "body", [{}, {"teams": None}, {"teams": [], "response_metadata": {"next_cursor": 5}}], ids=["no", "null", "odd"]
    )
    async def test_a_page_that_is_none(self, side: SlackSide, stub: StubSlack, body: dict[str, Any]) -> None:
        """An answer that says nothing about workspaces takes none away."""
        await side.install(None, "xoxb-org", ORG)
        handler = self.handler(side)
        stub.replies["auth.teams.list"] = lambda _: self.page("T0A")
        await handler(self.CHORE, side.gate)
        stub.replies["auth.teams.list"] = lambda _: {"ok": True, **body}

        outcome = await handler(self.CHORE, side.gate)

        assert isinstance(outcome, ChoreLater)
        assert 0.0 < outcome.after < 60.0
        assert await side.installations.token_for(BOT, TenantId("T0A")) is not None
