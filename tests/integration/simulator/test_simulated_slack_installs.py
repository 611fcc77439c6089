"""OAuth and Enterprise installs of the simulated Slack, and the simulator as a process."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from aiohttp import ClientSession, encode_basic_auth
from slack_sdk.errors import SlackApiError
from slack_sdk.oauth import AuthorizeUrlGenerator
from slack_sdk.web.async_client import AsyncWebClient

from simulator.app import Running
from simulator.clock import ManualClock
from simulator.slack.apps import DEFAULT_BOT_TOKEN, DEFAULT_CLIENT_ID, DEFAULT_CLIENT_SECRET

# slack_sdk 3.47 builds its basic authentication with a class that aiohttp 3.14 has deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:BasicAuth is deprecated:DeprecationWarning")

BACK = "https://herald.example.com/slack/oauth_redirect"
SCOPES = ["chat:write", "users:read", "users:read.email"]


@pytest.fixture
async def client(simulator: Running, http: ClientSession) -> AsyncWebClient:
    """A caller without a token."""
    return AsyncWebClient(base_url=f"{simulator.url}/api/", session=http, retry_handlers=[])


@pytest.fixture
async def app(control: Any) -> Any:
    """An app of its own with one registered redirect address."""
    return await control.post(
        "slack/apps",
        {"client_id": "9.9", "client_secret": "shh", "signing_secret": "sign", "redirect_urls": [BACK]},
        201,
    )


def authorize_url(base: str, state: str = "s1", client_id: str = "9.9", **query: str) -> str:
    """The address that the real SDK sends a browser to."""
    generator = AuthorizeUrlGenerator(
        client_id=client_id,
        scopes=SCOPES,
        redirect_uri=query.get("redirect_uri", BACK),
        authorization_url=f"{base}/oauth/v2/authorize",
    )
    return generator.generate(state, team=query.get("team"))


async def approved(control: Any, url: str, **where: Any) -> dict[str, str]:
    """What comes back to the app when a person allows it."""
    answer = await control.post("slack/authorize", {"authorize_url": url, **where})
    return {name: values[0] for name, values in parse_qs(urlsplit(answer["location"]).query).items()}


@pytest.mark.usefixtures("app")
class TestConsent:
    async def test_install(self, simulator: Running, control: Any, client: AsyncWebClient) -> None:
        """An approved code is exchanged for a token that works, with Slack's full answer."""
        back = await approved(control, authorize_url(simulator.url))
        answer = await client.oauth_v2_access(
            client_id="9.9", client_secret="shh", code=back["code"], redirect_uri=BACK
        )
        who = await client.auth_test(token=answer["access_token"])

        assert back["state"] == "s1"
        assert answer["team"] == {"id": "T0SIM0000", "name": "Contoso"}
        assert answer["enterprise"] is None
        assert answer["is_enterprise_install"] is False
        assert answer["scope"] == ",".join(SCOPES)
        assert answer["token_type"] == "bot"
        assert answer["authed_user"]["id"] == "U00000000"
        assert answer["bot_user_id"] == who["user_id"]

    async def test_page(self, simulator: Running, http: ClientSession) -> None:
        """A person sees the scopes, and approving or refusing redirects with the state."""
        url = authorize_url(simulator.url)
        async with http.get(url) as page:
            assert "users:read.email" in await page.text()
        async with http.post(
            url, data={"decision": "approve", "place": "T0SIM0000"}, allow_redirects=False
        ) as response:
            assert response.status == 302
            assert response.headers["Location"].startswith(f"{BACK}?code=")
        async with http.post(url, data={"decision": "deny"}, allow_redirects=False) as response:
            assert response.headers["Location"] == f"{BACK}?error=access_denied&state=s1"

    @pytest.mark.parametrize(
        ("query", "error"),
        [
            ({"client_id": "0.0"}, "invalid_client_id"),
            ({"redirect_uri": "https://herald.example.com.evil.example/"}, "bad_redirect_uri"),
            ({"redirect_uri": BACK + "evil"}, "bad_redirect_uri"),
        ],
    )
    async def test_refused_requests(self, simulator: Running, control: Any, query: dict[str, str], error: str) -> None:
        """An unknown app and a foreign address never come to a code."""
        url = authorize_url(simulator.url, **query)

        assert await control.post("slack/authorize", {"authorize_url": url}, 400) == {"error": error}

    async def test_code_is_good_once(self, simulator: Running, control: Any, client: AsyncWebClient) -> None:
        """A code works once, for its app, with its address."""
        back = await approved(control, authorize_url(simulator.url))
        right = {"client_id": "9.9", "client_secret": "shh", "code": back["code"], "redirect_uri": BACK}
        wrong = [
            ({"client_id": "1"}, "invalid_client_id"),
            ({"client_secret": "x"}, "bad_client_secret"),
            ({"code": "x"}, "invalid_code"),
            ({"redirect_uri": BACK + "/x"}, "bad_redirect_uri"),
            ({"client_id": DEFAULT_CLIENT_ID, "client_secret": DEFAULT_CLIENT_SECRET}, "invalid_code"),
        ]
        for change, error in wrong:
            with pytest.raises(SlackApiError, match=error):
                await client.oauth_v2_access(**{**right, **change})

        assert (await client.oauth_v2_access(**right))["ok"]
        with pytest.raises(SlackApiError, match="code_already_used"):
            await client.oauth_v2_access(**right)

    async def test_old_code(self, simulator: Running, control: Any, client: AsyncWebClient, clock: ManualClock) -> None:
        """A code lives ten minutes."""
        back = await approved(control, authorize_url(simulator.url))
        clock.advance(601)
        with pytest.raises(SlackApiError, match="invalid_code"):
            await client.oauth_v2_access(client_id="9.9", client_secret="shh", code=back["code"], redirect_uri=BACK)

    async def test_basic_authentication(self, simulator: Running, control: Any, http: ClientSession) -> None:
        """Client id and secret may come as HTTP basic authentication."""
        back = await approved(control, authorize_url(simulator.url))
        async with http.post(
            f"{simulator.url}/api/oauth.v2.access",
            data={"code": back["code"], "redirect_uri": BACK},
            headers={"Authorization": encode_basic_auth("9.9", "shh")},
        ) as response:
            assert (await response.json())["ok"]

    async def test_reinstall(self, simulator: Running, control: Any) -> None:
        """A second install keeps the token and adds the scopes; after an uninstall the token is new."""
        first = await control.post("slack/installs", {"app_id": "9.9", "scopes": ["chat:write"]}, 201)
        second = await control.post("slack/installs", {"app_id": "9.9", "scopes": ["users:read"]}, 201)
        await control.post("slack/uninstall", {"token": first["access_token"]})
        third = await control.post("slack/installs", {"app_id": "9.9"}, 201)

        assert second["access_token"] == first["access_token"]
        assert second["scope"] == "chat:write,users:read"
        assert third["access_token"] != first["access_token"]


class TestEnterprise:
    @pytest.fixture
    async def token(self, org_control: Any) -> Any:
        """A token for the whole org."""
        return (await org_control.post("slack/installs", {"enterprise": "E0SIMORG0"}, 201))["access_token"]

    @pytest.fixture
    async def slack(self, org: Running, http: ClientSession, token: str) -> AsyncWebClient:
        return AsyncWebClient(token=token, base_url=f"{org.url}/api/", session=http, retry_handlers=[])

    async def test_oauth(self, org: Running, org_control: Any, http: ClientSession) -> None:
        """An org-wide approval gives an installation without a team."""
        back = "http://localhost:8080/slack/oauth_redirect"
        url = authorize_url(org.url, client_id=DEFAULT_CLIENT_ID, redirect_uri=back)
        code = (await approved(org_control, url, enterprise="E0SIMORG0"))["code"]
        client = AsyncWebClient(base_url=f"{org.url}/api/", session=http, retry_handlers=[])
        answer = await client.oauth_v2_access(
            client_id=DEFAULT_CLIENT_ID, client_secret=DEFAULT_CLIENT_SECRET, code=code, redirect_uri=back
        )

        assert answer["team"] is None
        assert answer["enterprise"]["id"] == "E0SIMORG0"
        assert answer["is_enterprise_install"] is True

    async def test_who_and_where(self, slack: AsyncWebClient) -> None:
        """An org-wide token is of the org and lists the workspaces it reaches."""
        who = await slack.auth_test()
        teams = await slack.auth_teams_list()

        assert (who["team_id"], who["enterprise_id"], who["is_enterprise_install"]) == ("E0SIMORG0",) * 2 + (True,)
        assert [each["id"] for each in teams["teams"]] == ["T0SIM0000", "T0SIM0001"]

    async def test_team_id(self, slack: AsyncWebClient) -> None:
        """Listing people needs the workspace; posting to an id does not. Ids begin with W."""
        with pytest.raises(SlackApiError, match="missing_argument"):
            await slack.users_list(limit=5)
        with pytest.raises(SlackApiError, match="team_not_found"):
            await slack.users_list(limit=5, team_id="T0NOWHERE")
        page = await slack.users_list(limit=5, team_id="T0SIM0001")
        person = page["members"][0]
        sent = await slack.chat_postMessage(channel=person["id"], text="x")

        assert person["id"].startswith("W")
        assert sent["message"]["team"] == "T0SIM0001"

    async def test_access(self, slack: AsyncWebClient, token: str, org_control: Any, receiver: Any) -> None:
        """A workspace that is taken away is refused, and both changes are told to the app as Slack tells them."""
        await org_control.call("PATCH", "slack/apps/A0SIMAPP0", {"events_url": receiver.url})
        change = {"token": token, "wait": True}
        await org_control.post("slack/team_access", {**change, "revoke": ["T0SIM0001"]})
        with pytest.raises(SlackApiError, match="team_access_not_granted"):
            await slack.users_list(limit=5, team_id="T0SIM0001")
        await org_control.post("slack/team_access", {**change, "grant": ["T0SIM0001"]})
        outer = receiver.heard[0].json

        assert outer["event"]["type"] == "team_access_revoked"
        assert outer["event"]["team_ids"] == ["T0SIM0001"]
        assert outer["authorizations"][0]["is_enterprise_install"] is False
        assert receiver.heard[1].json["event"]["type"] == "team_access_granted"
        assert (await slack.users_list(limit=5, team_id="T0SIM0001"))["ok"]

    async def test_uninstall(self, token: str, org_control: Any, receiver: Any) -> None:
        """Removing an org-wide app names the org and no team."""
        await org_control.call("PATCH", "slack/apps/A0SIMAPP0", {"events_url": receiver.url})
        await org_control.post("slack/uninstall", {"token": token, "wait": True})
        authorization = receiver.heard[0].json["authorizations"][0]

        assert authorization["enterprise_id"] == "E0SIMORG0"
        assert authorization["team_id"] is None
        assert authorization["is_enterprise_install"] is True

    async def test_one_event_for_one_app(self, token: str, org_control: Any, receiver: Any) -> None:
        """An app that is installed twice hears of a person once."""
        await org_control.call("PATCH", "slack/apps/A0SIMAPP0", {"events_url": receiver.url})
        await org_control.call("PATCH", "slack/people/W00000000", {"deleted": True, "wait": True})

        assert len(receiver.heard) == 1


class TestControl:
    async def test_state_and_page(self, control: Any, simulator: Running, http: ClientSession) -> None:
        """The state gives addresses, settings, workspaces, apps and installs; the page loads nothing from elsewhere."""
        state = await control.get("state")
        async with http.get(f"{simulator.url}/_sim") as response:
            page = await response.text()

        assert state["endpoints"]["slack_api"] == f"{simulator.url}/api/"
        assert state["slack"]["workspaces"][0]["id"] == "T0SIM0000"
        assert state["slack"]["installs"][0]["token"] == DEFAULT_BOT_TOKEN
        assert state["settings"]["slack_ceiling_per_minute"] == 230
        assert "http" not in page

    async def test_reset(self, control: Any, slack: AsyncWebClient) -> None:
        """A reset empties mailboxes, counters, faults and limit windows; installs stay."""
        await control.post("settings", {"slack_burst": 1})
        await slack.chat_postMessage(channel="U00000000", text="x")
        await control.fault(status=500, operation="auth.test")
        await control.post("reset")

        assert (await control.get("mailboxes"))["messages"] == []
        assert (await control.get("counters"))["counters"] == []
        assert (await control.get("faults"))["faults"] == []
        assert (await slack.chat_postMessage(channel="U00000001", text="x"))["ok"]

    async def test_counts(self, control: Any, slack: AsyncWebClient, simulator: Running) -> None:
        """Mailboxes can be counted by person."""
        await slack.chat_postMessage(channel="U00000000", text="x")
        counts = await control.get("mailboxes?count=1&platform=slack")

        assert counts["total"] == 1
        assert counts["by_user_id"] == {"U00000000": 1}
        assert counts["by_email"] == {simulator.world.people_of(0)[0].email: 1}

    async def test_wrong_setting(self, control: Any) -> None:
        """An unknown setting is refused."""
        assert await control.post("settings", {"speed": 1}, 400) == {"error": "unknown setting speed"}


class TestProcess:
    async def test_ready_line_and_end(self, http: ClientSession) -> None:
        """`python -m simulator` says in one JSON line where everything is, serves it, and ends cleanly on SIGTERM."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "simulator", "--port", "0", "--people", "10000", "--quiet"),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        assert process.stdout is not None
        ready = json.loads(await process.stdout.readline())
        client = AsyncWebClient(DEFAULT_BOT_TOKEN, ready["slack_api"], session=http, retry_handlers=[])
        page = await client.users_list(limit=1000)
        process.send_signal(signal.SIGTERM)
        _, errors = await process.communicate()

        assert ready["ready"] is True
        assert set(ready) == {
            *("ready", "url", "slack_api", "slack_authorize", "entra_login", "bot_openid", "graph"),
            *("teams_default_service_url", "control"),
        }
        assert len(page["members"]) == 1000
        assert (process.returncode, errors) == (0, b"")
