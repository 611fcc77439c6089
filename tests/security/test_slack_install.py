"""S13: installing by OAuth is one browser's, once, for one bot, within ten minutes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from http.cookies import SimpleCookie
from typing import Final
from urllib.parse import parse_qs, urlsplit

import pytest
from aiohttp import web
from sqlalchemy import func, select

from adapters.base import BotId
from adapters.slack.config import SlackApp
from adapters.slack.install import SlackInstall, install_handler, redirect_handler
from storage import tables
from storage.engine import Database
from tests.integration.slack.kit import BOT, SIGNING_SECRET, SlackSide, StubSlack, serving, slack_side, stub_slack
from tests.integration.slack.test_install import GRANT

OTHER: Final = BotId(f"{BOT[:-1]}2")
REDIRECT: Final = "https://herald.example.com/slack/{}/oauth_redirect"


@dataclass
class Pages:
    """The two pages of two bots behind https, the second with an app of its own, and Slack behind them."""

    url: str
    side: SlackSide
    stub: StubSlack

    async def begin(self, bot: str = BOT) -> tuple[dict[str, str], str]:
        """Open the install page: what Slack's consent page is asked, and the cookie."""
        address = f"{self.url}/slack/{bot}/install"
        async with self.side.http.get(address, allow_redirects=False) as answer:
            assert answer.status == 302
            [cookie] = SimpleCookie(answer.headers["Set-Cookie"]).values()
            asked = parse_qs(urlsplit(answer.headers["Location"]).query)
            return {name: values[0] for name, values in asked.items()}, f"{cookie.key}={cookie.value}"

    async def finish(self, query: str, cookie: str = "", bot: str = BOT) -> int:
        """Come back from the consent page."""
        headers = {"Cookie": cookie} if cookie else {}
        address = f"{self.url}/slack/{bot}/oauth_redirect?{query}"
        async with self.side.http.get(address, headers=headers) as answer:
            return answer.status

    @property
    def exchanged(self) -> int:
        """How many codes were given to Slack."""
        return len(self.stub.calls("oauth.v2.access"))


@pytest.fixture(name="pages")
async def _pages(database: Database) -> AsyncIterator[Pages]:
    async with stub_slack() as stub, slack_side(database, stub.url) as side:
        stub.replies["oauth.v2.access"] = lambda _: GRANT
        bots = {bot: _install(side, bot, number) for number, bot in enumerate((BOT, OTHER))}
        routes = [
            web.get("/slack/{BotID}/install", install_handler(bots)),
            web.get("/slack/{BotID}/oauth_redirect", redirect_handler(bots)),
        ]
        async with serving(routes) as url:
            yield Pages(url, side, stub)


def _install(side: SlackSide, bot: BotId, number: int) -> SlackInstall:
    app = SlackApp(
        bot,
        SIGNING_SECRET,
        client_id=f"{number}.2",
        client_secret="client-secret",
        redirect_uri=REDIRECT.format(bot),
    )
    return SlackInstall(
        app, side.endpoints, side.database, side.client, side.installations, side.woken.append, side.clock
    )


class TestBrowser:
    async def test_whose_cookie(self, pages: Pages) -> None:
        """S13: the state in the address must be the one in this browser's cookie; nothing else uses it up."""
        asked, cookie = await pages.begin()
        other, foreign = await pages.begin()
        query = f"code=c0de&state={asked['state']}"
        name = cookie.partition("=")[0]
        unlike = [f"{name}=", f"{name}=deleted", f"x{cookie}", cookie.replace("__Host-", ""), cookie.upper()]

        assert {await pages.finish(query, given) for given in ["", foreign, *unlike]} == {400}
        assert await pages.finish("code=c0de", cookie) == 400
        assert await pages.finish("code=c0de&state=", f"{name}=") == 401
        assert await pages.finish(f"code=c0de&state={other['state']}&state={asked['state']}", cookie) == 400
        assert pages.exchanged == 0
        assert await pages.finish(query, cookie) == 200

    async def test_two_tries(self, pages: Pages) -> None:
        """S13: a browser that began twice may finish with either cookie, each state once."""
        (first, one), (second, two) = await pages.begin(), await pages.begin()

        assert await pages.finish(f"code=c0de&state={first['state']}", f"{two}; {one}") == 200
        assert await pages.finish(f"code=c0de&state={first['state']}", f"{two}; {one}") == 401
        assert await pages.finish(f"code=c0de&state={second['state']}", f"{two}; {one}") == 200

    async def test_cookie(self, pages: Pages) -> None:
        """S13: no script, no other site and no neighbour's domain has the cookie, and it ends with the state."""
        async with pages.side.http.get(f"{pages.url}/slack/{BOT}/install", allow_redirects=False) as answer:
            [written] = answer.headers.getall("Set-Cookie")

        assert written.startswith("__Host-")
        attributes = {part.strip().lower() for part in written.split(";")[1:]}
        assert attributes == {"secure", "httponly", "path=/", "samesite=lax", "max-age=600"}


class TestState:
    async def test_other_bot(self, pages: Pages) -> None:
        """S13: the state of one bot installs no other, with the right cookie too."""
        asked, cookie = await pages.begin()

        assert await pages.finish(f"code=c0de&state={asked['state']}", cookie, OTHER) == 401
        assert pages.exchanged == 0
        assert await pages.finish(f"code=c0de&state={asked['state']}", cookie) == 200

    async def test_at_once(self, pages: Pages) -> None:
        """S13: of many who come back with one state at the same moment one is let in, on both databases."""
        asked, cookie = await pages.begin()
        query = f"code=c0de&state={asked['state']}"

        answers = await asyncio.gather(*(pages.finish(query, cookie) for _ in range(6)))

        assert sorted(answers) == [200, 401, 401, 401, 401, 401]
        assert pages.exchanged == 1

    async def test_to_the_second(self, pages: Pages) -> None:
        """S13: a state lives for ten minutes and not a moment longer."""
        (early, one), (late, two) = await pages.begin(), await pages.begin()

        pages.side.clock.now += 599.5
        assert await pages.finish(f"code=c0de&state={early['state']}", one) == 200
        pages.side.clock.now += 0.5
        assert await pages.finish(f"code=c0de&state={late['state']}", two) == 401

    async def test_forgotten(self, pages: Pages) -> None:
        """Whoever opens the install page a thousand times leaves ten minutes of states, not all of them for ever."""
        for _ in range(3):
            await pages.begin()
        pages.side.clock.now += 600
        await pages.begin()

        async with pages.side.database.read() as tx:
            assert (await tx.execute(select(func.count()).select_from(tables.oauth_states))).scalar_one() == 1


class TestAddress:
    async def test_redirect(self, pages: Pages) -> None:
        """S13: both steps name the configured address and no other, whatever the request says of its host."""
        headers = {"Host": "evil.example", "X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "http"}
        address = f"{pages.url}/slack/{BOT}/install?redirect_uri=https://evil.example"
        async with pages.side.http.get(address, headers=headers, allow_redirects=False) as answer:
            consent = parse_qs(urlsplit(answer.headers["Location"]).query)
            cookie = answer.headers["Set-Cookie"].partition(";")[0]
        query = f"code=c0de&state={consent['state'][0]}&redirect_uri=https://evil.example"

        assert await pages.finish(query, cookie) == 200
        [exchange] = pages.stub.calls("oauth.v2.access")
        assert consent["redirect_uri"] == [exchange.arguments["redirect_uri"]] == [REDIRECT.format(BOT)]

    async def test_error_and_code(self, pages: Pages) -> None:
        """S13: an answer that both refuses and grants is a refusal, and the state is still there."""
        asked, cookie = await pages.begin()
        query = f"code=c0de&state={asked['state']}"

        assert await pages.finish(f"{query}&error=access_denied", cookie) == 200
        assert pages.exchanged == 0
        assert await pages.finish(query, cookie) == 200
        assert pages.exchanged == 1
