"""Installing the app by OAuth: `GET /slack/{BotID}/install` and `GET /slack/{BotID}/oauth_redirect`.

https://docs.slack.dev/authentication/installing-with-oauth. Bolt's AsyncOAuthFlow leads through the steps; ours are
the one-time state store, the store of installations, the exchange of the code (Bolt's raises for a dropped connection
and logs the code) and the pages. The only call to Slack is oauth.v2.access; what an installation still needs is done
later by its lane.
"""

from __future__ import annotations

import html
import logging
import re
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import urlencode

from aiohttp import web
from slack_bolt.oauth.async_callback_options import AsyncCallbackOptions, AsyncFailureArgs, AsyncSuccessArgs
from slack_bolt.oauth.async_oauth_flow import AsyncOAuthFlow
from slack_bolt.oauth.async_oauth_settings import AsyncOAuthSettings
from slack_bolt.request.async_request import AsyncBoltRequest
from slack_bolt.response import BoltResponse
from slack_sdk.oauth import AuthorizeUrlGenerator
from slack_sdk.oauth.installation_store import Installation
from slack_sdk.oauth.installation_store.async_installation_store import AsyncInstallationStore
from slack_sdk.oauth.state_store.async_state_store import AsyncOAuthStateStore
from slack_sdk.web.async_client import AsyncWebClient
from sqlalchemy.exc import SQLAlchemyError

from adapters.base import ENTRY, BotId, Fault, Lane
from adapters.ids import MAX_TENANT, readable, words
from adapters.slack.client import Failure, SlackClient
from adapters.slack.config import Clock, SlackApp, SlackEndpoints, Wake
from adapters.slack.installations import SLACK, Grant, SlackInstallations
from adapters.slack.limits import STATE_SECONDS
from storage import oauth_states
from storage.engine import Database

logger = logging.getLogger(__name__)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_TEAM = re.compile(r"[A-Z0-9]{1,64}")
_CODE = re.compile(r"[a-z0-9_]{1,64}")
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"
_COOKIE = "slack-app-oauth-state"
_REASONS = {
    "access_denied": "The installation was cancelled. Nothing was changed.",
    "invalid_browser": "This page belongs to another browser session. Start the installation again in this browser.",
    "invalid_state": "This link was used before or is too old. Start the installation again.",
    "missing_code": "Slack sent no code. Start the installation again.",
}
_OTHER_REASON = "Slack refused the installation. Start it again, or look the code up on docs.slack.dev."


class InstallFailed(Exception):
    """Slack did not exchange the code for a token."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.code)
        self.fault = fault


class SlackInstall:
    """The two pages by which workspaces install one bot's app."""

    def __init__(
        self,
        app: SlackApp,
        endpoints: SlackEndpoints,
        database: Database,
        client: SlackClient,
        installations: SlackInstallations,
        wake: Wake,
        clock: Clock = time.time,
    ) -> None:
        if app.client_id is None or app.client_secret is None:
            raise ValueError(f"bot {app.bot}: client_id and client_secret are needed to install by OAuth")
        self._bot = app.bot
        self._secure = app.redirect_uri is None or app.redirect_uri.startswith("https:")
        settings = AsyncOAuthSettings(
            client_id=app.client_id,
            client_secret=app.client_secret,
            scopes=app.scopes,
            user_scopes=(),
            redirect_uri=app.redirect_uri,
            authorization_url=endpoints.authorize,
            install_page_rendering_enabled=False,
            callback_options=AsyncCallbackOptions(success=self._succeeded, failure=self._refused),
            installation_store=_Store(app.bot, database, installations, wake),
            state_store=_States(app.bot, database, clock),
            state_expiration_seconds=STATE_SECONDS,
            # no neighbour's domain can set a cookie of this prefix (RFC 6265bis section 4.1.3.2)
            state_cookie_name=f"__Host-{_COOKIE}" if self._secure else _COOKIE,
        )
        settings.authorize_url_generator = _AuthorizeUrl(
            client_id=app.client_id,
            redirect_uri=app.redirect_uri,
            scopes=app.scopes,
            authorization_url=endpoints.authorize,
        )
        self._flow = _Flow(settings, client)

    async def install(self, request: web.Request) -> web.Response:
        """Send the browser to Slack's consent page with a one-time state."""
        team = request.query.get("team", "")
        query = f"team={team}" if _TEAM.fullmatch(team) else ""
        return await self._run(self._flow.handle_installation, AsyncBoltRequest(body="", query=query))

    async def redirect(self, request: web.Request) -> web.Response:
        """Slack sent the browser back: exchange the code, store the installation."""
        cookie = "; ".join(request.headers.getall("Cookie", []))
        bolt = AsyncBoltRequest(body="", query=request.query_string, headers={"cookie": cookie} if cookie else None)
        return await self._run(self._flow.handle_callback, bolt)

    async def _run(
        self, step: Callable[[AsyncBoltRequest], Awaitable[BoltResponse]], request: AsyncBoltRequest
    ) -> web.Response:
        try:
            answer = await step(request)
        except InstallFailed as failed:
            answer = _page(502, "The app was not installed", f"{failed.fault.remedy} (Slack says: {failed.fault.code})")
            self._log("slack.install.failed", code=failed.fault.code)
        except SQLAlchemyError as error:
            answer = _page(503, "The app was not installed", "The server's database did not answer. Try again.")
            self._log("slack.install.storage_failed", error=type(error).__name__)
        return self._to_aiohttp(answer)

    async def _succeeded(self, args: AsyncSuccessArgs) -> BoltResponse:
        installation = args.installation
        self._log("slack.install.done", tenant=installation.team_id or installation.enterprise_id)
        where = installation.team_name or installation.enterprise_name or "your workspace"
        return _page(200, "The app is installed", f"Messages to the people of {where} can be sent now.")

    async def _refused(self, args: AsyncFailureArgs) -> BoltResponse:
        code = args.reason if _CODE.fullmatch(args.reason) else "unreadable"  # anybody may write it into the address
        self._log("slack.install.refused", code=code)
        sentence = _REASONS.get(code, f"{_OTHER_REASON} (Slack says: {code})")
        return _page(args.suggested_status_code, "The app was not installed", sentence)

    def _log(self, action: str, **extra: str | None) -> None:
        logger.info("an installation went a step", extra={"action": action, "bot": self._bot, **extra})

    def _to_aiohttp(self, answer: BoltResponse) -> web.Response:
        """Like Bolt's own conversion, but `Secure` cookies only where the redirect comes back by https."""
        response = web.Response(status=answer.status, text=answer.body, content_type="text/html")
        response.headers["Content-Security-Policy"] = _POLICY
        location = answer.headers.get("location")
        if location:
            response.headers["Location"] = location[0]
        for header in answer.headers.get("set-cookie", []):
            for name, cookie in SimpleCookie(header).items():
                response.set_cookie(
                    name,
                    cookie.value,
                    max_age=cookie["max-age"] or None,
                    expires=cookie["expires"] or None,
                    path=cookie["path"],
                    secure=self._secure,
                    httponly=True,
                    samesite="Lax",
                )
        return response


def install_handler(bots: Mapping[BotId, SlackInstall]) -> Handler:
    """The handler of GET /slack/{BotID}/install; 404 for a bot that is not installed by OAuth."""

    async def handle(request: web.Request) -> web.StreamResponse:
        return await _of(bots, request).install(request)

    return handle


def redirect_handler(bots: Mapping[BotId, SlackInstall]) -> Handler:
    """The handler of GET /slack/{BotID}/oauth_redirect."""

    async def handle(request: web.Request) -> web.StreamResponse:
        return await _of(bots, request).redirect(request)

    return handle


def _of(bots: Mapping[BotId, SlackInstall], request: web.Request) -> SlackInstall:
    found = bots.get(BotId(request.match_info["BotID"]))
    if found is None:
        raise web.HTTPNotFound
    return found


def _page(status: int, title: str, sentence: str) -> BoltResponse:
    body = (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        f"<title>{html.escape(title)}</title>"
        "<style>body{font:16px system-ui;max-width:32rem;margin:4rem auto;padding:0 1rem}</style>"
        f"<h1>{html.escape(title)}</h1><p>{html.escape(sentence)}</p></html>"
    )
    return BoltResponse(status=status, body=body, headers={"Content-Type": "text/html; charset=utf-8"})


class _AuthorizeUrl(AuthorizeUrlGenerator):
    """The consent URL with every part encoded (slack_sdk joins them raw)."""

    def generate(self, state: str, team: str | None = None) -> str:
        query = {"state": state, "client_id": self.client_id, "scope": ",".join(self.scopes or ()), "user_scope": ""}
        if self.redirect_uri is not None:
            query["redirect_uri"] = self.redirect_uri
        if team is not None:
            query["team"] = team
        return f"{self.authorization_url}?{urlencode(query)}"


class _Flow(AsyncOAuthFlow):
    """Bolt's flow with the exchange made by our client."""

    def __init__(self, settings: AsyncOAuthSettings, client: SlackClient) -> None:
        super().__init__(client=AsyncWebClient(token=None, retry_handlers=[]), logger=logger, settings=settings)
        self._slack = client

    async def run_installation(self, code: str) -> Installation | None:
        """Exchange the code. Raises InstallFailed."""
        result = await self._slack.call(
            "oauth.v2.access",
            None,
            code=code,
            client_id=self.settings.client_id,
            client_secret=self.settings.client_secret,
            redirect_uri=self.settings.redirect_uri,
        )
        if isinstance(result, Failure):
            raise InstallFailed(result.as_read)
        return _installation(result.body)


def _installation(body: Mapping[str, Any]) -> Installation | None:
    """slack_sdk's form of the answer; None when it holds no bot token."""
    team, enterprise, user = (_object(body, name) for name in ("team", "enterprise", "authed_user"))
    token = words(body.get("access_token"))
    org_wide = body.get("is_enterprise_install") is True
    place = readable((enterprise if org_wide else team).get("id"), MAX_TENANT)
    if not token or place is None:
        return None
    return Installation(
        app_id=readable(body.get("app_id")),
        enterprise_id=readable(enterprise.get("id"), MAX_TENANT),
        enterprise_name=words(enterprise.get("name")),
        team_id=None if org_wide else place,
        team_name=None if org_wide else words(team.get("name")),
        bot_token=token,
        bot_user_id=readable(body.get("bot_user_id"), MAX_TENANT),
        bot_scopes=words(body.get("scope")),
        user_id=readable(user.get("id")) or "",
        is_enterprise_install=org_wide,
    )


def _object(body: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = body.get(name)
    return value if isinstance(value, dict) else {}


class _Store(AsyncInstallationStore):
    """slack_sdk's door to our installations; the OAuth flow only saves."""

    def __init__(self, bot: BotId, database: Database, installations: SlackInstallations, wake: Wake) -> None:
        self._bot = bot
        self._database = database
        self._installations = installations
        self._wake = wake

    @property
    def logger(self) -> logging.Logger:
        return logger

    async def async_save(self, installation: Installation) -> None:
        """Store the grant and what it still needs in one transaction, then wake its lanes."""
        grant = Grant(
            token=installation.bot_token or "",
            team=installation.team_id,
            team_name=installation.team_name or "",
            enterprise=installation.enterprise_id,
            enterprise_name=installation.enterprise_name or "",
            scopes=tuple(installation.bot_scopes or ()),
            app_id=installation.app_id,
            bot_user_id=installation.bot_user_id,
            platform_bot_id=installation.bot_id,
            by=installation.user_id or "",
        )
        async with self._database.write() as tx:
            lane = await self._installations.install(tx, self._bot, grant)
        self._installations.forget(self._bot)
        self._wake(lane)
        if not lane.is_entry:
            self._wake(Lane(self._bot, SLACK, ENTRY))  # deliveries that know no tenant yet may go there now


class _States(AsyncOAuthStateStore):
    """One-time states in the database: any server of a fleet takes the callback."""

    def __init__(self, bot: BotId, database: Database, clock: Clock) -> None:
        self._bot = bot
        self._database = database
        self._clock = clock

    @property
    def logger(self) -> logging.Logger:
        return logger

    async def async_issue(self, *args: Any, **kwargs: Any) -> str:
        state = secrets.token_urlsafe(32)
        async with self._database.write() as tx:
            now = self._clock()
            await oauth_states.issue(tx, state=state, bot_id=self._bot, now=now, expires_at=now + STATE_SECONDS)
        return state

    async def async_consume(self, state: str) -> bool:
        async with self._database.write() as tx:
            return await oauth_states.consume(tx, state=state, bot_id=self._bot, now=self._clock())
