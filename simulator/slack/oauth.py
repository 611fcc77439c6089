"""The consent page `/oauth/v2/authorize`: a person chooses a workspace or the org and allows the app.

Source: docs.slack.dev/authentication/installing-with-oauth.
"""

import html
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlencode, urlsplit, urlunsplit

from aiohttp import web

from simulator.slack import limits
from simulator.slack.apps import KNOWN_SCOPES, App, Code
from simulator.slack.call import Slack

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


class ConsentRefusedError(Exception):
    """Slack shows an error page instead of asking; the argument is its code."""


@dataclass(frozen=True, slots=True)
class Consent:
    """What an app asks for."""

    app: App
    scopes: tuple[str, ...]
    redirect_uri: str | None
    """As sent; the exchange of the code must repeat it."""
    target: str
    state: str
    team: str

    def location(self, **answer: str) -> str:
        """Where the browser is sent, with the answer and the state."""
        parts = urlsplit(self.target)
        given = {**answer, "state": self.state} if self.state else answer
        query = "&".join(filter(None, (parts.query, urlencode(given))))
        return urlunsplit(parts._replace(query=query))


def read_consent(slack: Slack, query: Mapping[str, str]) -> Consent:
    """Check what the app sent the browser with."""
    app = slack.registry.by_client.get(query.get("client_id", ""))
    if app is None:
        raise ConsentRefusedError("invalid_client_id")
    scopes = tuple(dict.fromkeys(each.strip() for each in query.get("scope", "").replace(" ", ",").split(",") if each))
    if not scopes:
        raise ConsentRefusedError("no_scopes")
    if set(scopes) - KNOWN_SCOPES:
        raise ConsentRefusedError("invalid_scope")
    given = query.get("redirect_uri")
    target = given or (app.redirect_urls[0] if app.redirect_urls else "")
    if not _allowed(app, target):
        raise ConsentRefusedError("bad_redirect_uri")
    return Consent(app, scopes, given, target, query.get("state", ""), query.get("team", ""))


def _allowed(app: App, uri: str) -> bool:
    parts = urlsplit(uri)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return False
    if not app.redirect_urls:
        return parts.hostname in _LOOPBACK
    return any(uri == each or uri.startswith(each.rstrip("/") + "/") for each in app.redirect_urls)


def approve(slack: Slack, consent: Consent, place: str) -> str:
    """Allow the app in a workspace or the org; returns where the browser goes next."""
    enterprise = slack.directory.enterprise
    org_wide = enterprise is not None and place == enterprise.id
    if place not in slack.directory.workspaces and not org_wide:
        raise ConsentRefusedError("team_not_found")
    if org_wide and not consent.app.org_deploy_enabled:
        raise ConsentRefusedError("org_deploy_not_enabled")
    expires = slack.world.clock.monotonic() + limits.CODE_SECONDS
    value = secrets.token_hex(20)
    slack.registry.codes[value] = Code(value, consent.app, consent.scopes, place, consent.redirect_uri, expires)
    return consent.location(code=value)


def deny(consent: Consent) -> str:
    """Refuse; returns where the browser goes next."""
    return consent.location(error="access_denied")


class ConsentPage:
    """The page and its form."""

    def __init__(self, slack: Slack) -> None:
        self._slack = slack

    def routes(self) -> list[web.RouteDef]:
        """The page by GET, the decision by POST."""
        return [web.get("/oauth/v2/authorize", self._show), web.post("/oauth/v2/authorize", self._decide)]

    async def _show(self, request: web.Request) -> web.Response:
        try:
            consent = read_consent(self._slack, request.query)
        except ConsentRefusedError as refusal:
            return _error_page(refusal)
        return web.Response(text=self._page(consent), content_type="text/html")

    async def _decide(self, request: web.Request) -> web.Response:
        form = await request.post()
        try:
            consent = read_consent(self._slack, request.query)
            if form.get("decision") != "approve":
                return web.Response(status=302, headers={"Location": deny(consent)})
            return web.Response(
                status=302, headers={"Location": approve(self._slack, consent, str(form.get("place", "")))}
            )
        except ConsentRefusedError as refusal:
            return _error_page(refusal)

    def _page(self, consent: Consent) -> str:
        directory = self._slack.directory
        places = [(each.id, each.name) for each in directory.workspaces.values()]
        if directory.enterprise is not None and consent.app.org_deploy_enabled:
            places.append((directory.enterprise.id, f"{directory.enterprise.name} (whole organisation)"))
        options = "".join(
            f'<option value="{html.escape(place)}"{" selected" if place == consent.team else ""}>'
            f"{html.escape(name)}</option>"
            for place, name in places
        )
        scopes = "".join(f"<li>{html.escape(each)}</li>" for each in consent.scopes)
        return (
            '<!doctype html><html lang="en"><meta charset="utf-8"><title>Simulated Slack</title>'
            "<style>body{font:16px system-ui;max-width:32rem;margin:4rem auto}</style>"
            f"<h1>{html.escape(consent.app.name)} asks for access</h1><ul>{scopes}</ul>"
            f'<form method="post"><p><label>Workspace <select name="place">{options}</select></label></p>'
            '<button name="decision" value="approve">Allow</button> '
            '<button name="decision" value="deny">Cancel</button></form></html>'
        )


def _error_page(refusal: ConsentRefusedError) -> web.Response:
    return web.Response(status=400, text=f"Something went wrong: {refusal}", content_type="text/plain")
