"""The checks that ask the platforms: do the credentials open the door, and with which permissions?"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import jwt

from console.commands.checks.findings import Finding, fail, ok, warn
from settings import ResolvedEndpoints, SlackApp, TeamsApp

# learn.microsoft.com/entra/identity-platform/reference-error-codes
ENTRA_REMEDIES = {
    90002: "the tenant does not exist: correct tenant_id or endpoints.cloud",
    700016: "the app is not in this tenant: correct app_id or tenant_id",
    7000215: "the secret is wrong: copy the secret's Value, not its Secret ID, into app_password",
    7000222: "the secret has expired: create a new one in the Entra portal",
    7000216: "the app wants another kind of credential: check app_type and app_password",
}
# learn.microsoft.com/graph/permissions-reference; the first one lets Graph look people up by every address
PEOPLE_ROLES = ("User.Read.All", "Directory.Read.All", "User.ReadBasic.All")
INSTALL_ROLES = (
    "TeamsAppInstallation.ReadWriteSelfForUser.All",
    "TeamsAppInstallation.ReadWriteAndConsentSelfForUser.All",
)
INSTALL_ANY_ROLES = ("TeamsAppInstallation.ReadWriteForUser.All", "TeamsAppInstallation.ReadWriteAndConsentForUser.All")
CATALOG_ROLES = ("AppCatalog.Read.All", "AppCatalog.ReadWrite.All")
# https://docs.slack.dev/reference/methods/auth.test, errors
SLACK_REMEDIES = {
    "invalid_auth": "the token is wrong: copy the Bot User OAuth Token again",
    "not_authed": "the token is empty: set bot_token",
    "account_inactive": "the app was removed from the workspace: install it again",
    "token_revoked": "the token was revoked: install the app again",
    "token_expired": "the token has expired: switch token rotation off or use OAuth installs",
    "org_login_required": "the workspace is being moved into an organisation: try again later",
    "ratelimited": "too many calls at this moment: try again in a minute",
}


async def openid_metadata(session: aiohttp.ClientSession, endpoints: ResolvedEndpoints) -> list[Finding]:
    """Without these keys no inbound Teams event can be verified."""
    subject, host = "Teams signing keys", urlsplit(endpoints.bot_openid).hostname
    try:
        async with session.get(endpoints.bot_openid, allow_redirects=False) as response:
            body = _json(await response.read())
    except (aiohttp.ClientError, TimeoutError) as error:
        return [_unreachable(subject, endpoints.bot_openid, error)]
    if "jwks_uri" not in body:
        return [fail(subject, f"{host} answered {response.status} without jwks_uri", "check endpoints.bot_openid")]
    return [ok(subject, f"published by {host}")]


@dataclass(frozen=True, slots=True)
class TeamsProbe:
    """Asks Entra for the tokens that sending and looking people up need."""

    session: aiohttp.ClientSession
    endpoints: ResolvedEndpoints
    bot_name: str
    app: TeamsApp

    async def run(self) -> list[Finding]:
        """One line for the bot token, one for Graph."""
        subject = f"{self.bot_name}, Teams"
        if self.app.app_password is None:
            kind = "managed identity" if self.app.app_type == "UserAssignedMSI" else "certificate"
            return [warn(subject, f"signs in by {kind}, which is not tried here", "watch the first send")]
        _, trouble = await self._token(self._bot_tenant(), self.endpoints.bot_issuer)
        if trouble is not None:
            return [trouble]
        found = [ok(subject, "Entra gives the bot its token")]
        if self.app.graph:
            found += await self._graph()
        return found

    def _bot_tenant(self) -> str:
        single = self.app.app_type == "SingleTenant" and self.app.tenant_id
        return single or self.endpoints.multi_tenant_login

    async def _graph(self) -> list[Finding]:
        subject = f"{self.bot_name}, Graph"
        if self.app.tenant_id is None:
            return [warn(subject, "not tried: no tenant_id", "each tenant's admin must consent to the permissions")]
        token, trouble = await self._token(self.app.tenant_id, self.endpoints.graph_audience)
        if trouble is not None:
            return [trouble]
        roles = _roles(token)
        installs = [install_permissions(subject, roles, self.app.catalog_app_id)] if self.app.installs else []
        return [graph_permissions(subject, roles), *installs]

    async def _token(self, tenant: str, audience: str) -> tuple[str, Finding | None]:
        subject, url = f"{self.bot_name}, Teams", f"{self.endpoints.entra_login}/{tenant}/oauth2/v2.0/token"
        password = self.app.app_password.get_secret_value() if self.app.app_password else ""
        form = {
            "grant_type": "client_credentials",
            "client_id": self.app.app_id,
            "client_secret": password,
            "scope": f"{audience}/.default",
        }
        try:
            async with self.session.post(url, data=form, allow_redirects=False) as response:
                body = _json(await response.read())
        except (aiohttp.ClientError, TimeoutError) as error:
            return "", _unreachable(subject, url, error)
        if "access_token" in body:
            return str(body["access_token"]), None
        return "", entra_refusal(subject, body)


def entra_refusal(subject: str, body: Mapping[str, Any]) -> Finding:
    """Entra's numbered error as a sentence; its own text is long and is not repeated."""
    codes = body.get("error_codes")
    code = codes[0] if isinstance(codes, list) and codes and isinstance(codes[0], int) else None
    name = f"AADSTS{code}" if code is not None else str(body.get("error", "no token"))
    remedy = ENTRA_REMEDIES.get(code or 0, "look the code up at https://login.microsoftonline.com/error")
    return fail(subject, f"Entra refuses the app's credentials ({name})", remedy)


def graph_permissions(subject: str, roles: frozenset[str]) -> Finding:
    """Whether the app may look people up."""
    people = next((role for role in PEOPLE_ROLES if role in roles), None)
    if people is None:
        remedy = "grant the application permission User.Read.All with admin consent, or set graph = false"
        return fail(subject, "may not look people up", remedy)
    if people == PEOPLE_ROLES[-1]:
        remedy = f"grant {PEOPLE_ROLES[0]}: {people} finds nobody by an alias or a second address"
        return warn(subject, people, remedy)
    return ok(subject, people)


def install_permissions(subject: str, roles: frozenset[str], catalog_app_id: str | None) -> Finding:
    """Whether the app may install itself for people."""
    role = next((role for role in (*INSTALL_ROLES, *INSTALL_ANY_ROLES) if role in roles), None)
    if role is None:
        remedy = f"grant the application permission {INSTALL_ROLES[0]} with admin consent, or set install = false"
        return fail(subject, "may not install the app for people", remedy)
    if catalog_app_id is None and not roles.intersection(CATALOG_ROLES):
        return fail(subject, "may not read the app catalog", f"set catalog_app_id, or grant {CATALOG_ROLES[0]}")
    if role in INSTALL_ANY_ROLES:
        return warn(subject, role, f"{INSTALL_ROLES[0]} is enough: it installs this app and no other")
    return ok(subject, role)


@dataclass(frozen=True, slots=True)
class SlackProbe:
    """Asks Slack whose token this is and which scopes it has."""

    session: aiohttp.ClientSession
    endpoints: ResolvedEndpoints
    bot_name: str
    app: SlackApp

    async def run(self) -> list[Finding]:
        """With a bot token: is it good? With OAuth: is Slack reachable?"""
        subject, token = f"{self.bot_name}, Slack", self.app.bot_token
        method = "auth.test" if token else "api.test"
        headers = {"Authorization": f"Bearer {token.get_secret_value()}"} if token else {}
        url = f"{self.endpoints.slack_api}{method}"
        try:
            async with self.session.post(url, headers=headers, allow_redirects=False) as response:
                body, scopes = _json(await response.read()), response.headers.get("x-oauth-scopes", "")
        except (aiohttp.ClientError, TimeoutError) as error:
            return [_unreachable(subject, url, error)]
        if body.get("ok") is not True:
            return [slack_refusal(subject, str(body.get("error", f"HTTP {response.status}")))]
        if token is None:
            return [ok(subject, "reachable; workspaces install the app at its install page")]
        team = str(body.get("team") or body.get("team_id") or "the workspace")
        return [ok(subject, f"the token opens {team}"), scopes_granted(subject, self.app, scopes)]


def slack_refusal(subject: str, error: str) -> Finding:
    """Slack's error name with what to do about it."""
    return fail(subject, f"Slack refuses the token ({error})", SLACK_REMEDIES.get(error, "check bot_token"))


def scopes_granted(subject: str, app: SlackApp, header: str) -> Finding:
    """Compare the scopes that Slack lists in a header with those that the settings ask for."""
    granted = {scope.strip() for scope in header.split(",") if scope.strip()}
    missing = [scope for scope in app.scopes if scope not in granted]
    if missing:
        remedy = "add them under OAuth & Permissions and install the app again"
        return fail(subject, f"scopes missing: {', '.join(missing)}", remedy)
    return ok(subject, f"scopes: {', '.join(sorted(granted))}")


def _unreachable(subject: str, url: str, error: Exception) -> Finding:
    host = urlsplit(url).hostname
    kind = "TLS" if isinstance(error, aiohttp.ClientSSLError) else type(error).__name__
    return fail(subject, f"cannot reach {host} ({kind})", "allow it in DNS, firewall and trusted certificates")


def _json(raw: bytes) -> Mapping[str, Any]:
    try:
        body = json.loads(raw)
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _roles(token: str) -> frozenset[str]:
    """The application permissions in a token; read, not trusted: this is our own token."""
    try:
        claims = jwt.decode(token, options={"verify_signature": False})
    except jwt.PyJWTError:
        return frozenset()
    roles = claims.get("roles")
    return frozenset(str(role) for role in roles) if isinstance(roles, list) else frozenset()
