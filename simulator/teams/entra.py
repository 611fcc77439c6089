"""Entra's token endpoint, and the Bot Framework's OpenID metadata with its signing keys.

Sources: Microsoft identity platform, "OAuth 2.0 client credentials flow" and "Microsoft Entra authentication error
codes"; Bot Framework, "Authentication with the Bot Connector API".
"""

import hmac
from typing import Any

import orjson
from aiohttp import web

from simulator.faults import Fault, apply_after, apply_before, fault_response
from simulator.teams.apps import App
from simulator.teams.ids import guid
from simulator.teams.people import Tenant
from simulator.teams.state import TOKEN_LIFETIME, TeamsState
from simulator.teams.tokens import BOT_AUDIENCE, GRAPH_AUDIENCE

MULTI_TENANT_AUTHORITY = "botframework.com"
BOTFRAMEWORK_TENANT_ID = "d6d49420-f39b-4df7-a1dc-d59a935871db"
TOKEN_ISSUER = "https://api.botframework.com"

_AUDIENCES = {
    BOT_AUDIENCE: BOT_AUDIENCE,
    GRAPH_AUDIENCE: GRAPH_AUDIENCE,
}
_FORM = "application/x-www-form-urlencoded"


class EntraError(Exception):
    """Entra refuses to issue a token."""

    def __init__(self, status: int, error: str, number: int, text: str) -> None:
        super().__init__(number)
        self.status = status
        self.error = error
        self.number = number
        self.text = text


class Entra:
    """The token endpoint and the key documents."""

    def __init__(self, state: TeamsState) -> None:
        self._state = state
        self._refusals = 0

    def routes(self) -> list[web.RouteDef]:
        """Entra's and the Bot Framework login's routes."""
        return [
            web.post("/{tenant}/oauth2/v2.0/token", self.token),
            web.get("/{tenant}/discovery/v2.0/keys", self.entra_keys),
            web.get("/v1/.well-known/openidconfiguration", self.metadata),
            web.get("/v1/.well-known/keys", self.bot_keys),
        ]

    async def token(self, request: web.Request) -> web.StreamResponse:
        """Issue an access token."""
        world = self._state.world
        authority = request.match_info["tenant"]
        world.counters.call("entra", "token", authority, world.clock.monotonic())
        fault = world.faults.match("entra", "token", authority)
        if fault is not None:
            early = await apply_before(request, fault, self._shape, world.clock)
            if early is not None:
                return early
        try:
            answer = self._issued(authority, await self._form(request))
        except EntraError as refusal:
            answer = self._refused(refusal)
        await world.answer_latency()
        return answer if fault is None else await apply_after(request, fault, answer, self._shape, world.clock)

    async def _form(self, request: web.Request) -> dict[str, str]:
        if request.content_type != _FORM:
            raise EntraError(
                400,
                "invalid_request",
                900144,
                "The request body must contain the following parameter: 'grant_type'.",
            )
        return {name: value for name, value in (await request.post()).items() if isinstance(value, str)}

    def _issued(self, authority: str, form: dict[str, str]) -> web.Response:
        state = self._state
        _check_form(form)
        tenant = self._tenant(authority)
        app = self._app(form["client_id"], authority, tenant)
        audience = self._audience(form["scope"])
        _check_authority(app, audience, authority, tenant)
        if not hmac.compare_digest(form["client_secret"].encode(), app.password.encode()):
            raise EntraError(
                401,
                "invalid_client",
                7000215,
                "Invalid client secret provided. Ensure the secret being sent in the request is the client secret "
                f"value, not the client secret ID, for a secret added to app '{app.app_id}'.",
            )
        tenant_id = BOTFRAMEWORK_TENANT_ID if tenant is None else tenant.id
        lifetime = int(state.world.settings[TOKEN_LIFETIME])
        token = state.tokens.issue(app, audience, tenant_id, f"https://sts.windows.net/{tenant_id}/", lifetime)
        body = {"token_type": "Bearer", "expires_in": lifetime, "ext_expires_in": lifetime, "access_token": token}
        return _json(body, headers={"Cache-Control": "no-store, no-cache", "Pragma": "no-cache"})

    def _tenant(self, authority: str) -> Tenant | None:
        if authority == MULTI_TENANT_AUTHORITY:
            return None
        tenant = self._state.directory.named(authority)
        if tenant is None:
            raise EntraError(
                400,
                "invalid_request",
                90002,
                f"Tenant '{authority}' not found. Check to make sure you have the correct tenant ID and are signing "
                "into the correct cloud.",
            )
        return tenant

    def _app(self, client_id: str, authority: str, tenant: Tenant | None) -> App:
        app = self._state.apps.get(client_id)
        known = app is not None and (app.usable_in(tenant.id) if tenant else app.multi_tenant)
        if app is None or not known:
            raise _unknown_application(client_id, authority)
        return app

    def _audience(self, scope: str) -> str:
        resource, default, rest = scope.partition("/.default")
        if not default or rest or " " in scope:
            raise EntraError(
                400,
                "invalid_scope",
                1002012,
                f"The provided value for scope {scope} is not valid. Client credential flows must have a scope value "
                "with /.default suffixed to the resource identifier (application ID URI).",
            )
        if resource == self._state.world.base_url and resource:
            return GRAPH_AUDIENCE  # an app that derives Graph's scope from Graph's address
        audience = _AUDIENCES.get(resource.rstrip("/"))
        if audience is None:
            raise EntraError(
                400,
                "invalid_resource",
                500011,
                f"The resource principal named {resource} was not found in the tenant. This can happen if the "
                "application has not been installed by the administrator of the tenant or consented to by any user "
                "in the tenant.",
            )
        return audience

    def _refused(self, refusal: EntraError) -> web.Response:
        self._refusals += 1
        now = self._state.world.clock.now().strftime("%Y-%m-%d %H:%M:%SZ")
        trace, correlation = guid("trace", self._refusals), guid("correlation", self._refusals)
        return _json(_error_body(refusal, now, trace, correlation), refusal.status)

    def _shape(self, fault: Fault) -> web.Response:
        status = {None: 503, "temporarily_unavailable": 503, "invalid_client": 401}.get(fault.code, 400)
        number = 7000215 if fault.code == "invalid_client" else 90033
        refusal = EntraError(status, fault.code or "temporarily_unavailable", number, "The request was refused.")
        return fault_response(fault, status, _error_body(refusal, "", guid("trace", 0), guid("correlation", 0)))

    async def metadata(self, request: web.Request) -> web.StreamResponse:
        """The OpenID metadata of connector tokens."""
        base = self._state.world.base_url or str(request.url.origin())
        body = {
            "issuer": TOKEN_ISSUER,
            "authorization_endpoint": "https://invalid.botframework.com",
            "jwks_uri": f"{base}/v1/.well-known/keys",
            "id_token_signing_alg_values_supported": ["RS256"],
            "token_endpoint_auth_methods_supported": ["private_key_jwt"],
        }
        return await self._document(request, "metadata", body)

    async def bot_keys(self, request: web.Request) -> web.StreamResponse:
        """The keys that sign connector tokens."""
        keys = [key.jwk() for key in self._state.bot_keys.published()]
        return await self._document(request, "keys", {"keys": keys})

    async def entra_keys(self, request: web.Request) -> web.StreamResponse:
        """The keys that sign Entra's access tokens."""
        keys = [key.jwk() for key in self._state.tokens.keys.published()]
        return await self._document(request, "entra_keys", {"keys": keys})

    async def _document(self, request: web.Request, operation: str, body: dict[str, Any]) -> web.StreamResponse:
        world = self._state.world
        world.counters.call("entra", operation, "", world.clock.monotonic())
        fault = world.faults.match("entra", operation)
        if fault is not None:
            early = await apply_before(request, fault, self._shape, world.clock)
            if early is not None:
                return early
        await world.answer_latency()
        answer = _json(body)
        return answer if fault is None else await apply_after(request, fault, answer, self._shape, world.clock)


def _check_form(form: dict[str, str]) -> None:
    for name, number in (("grant_type", 900144), ("client_id", 900144), ("scope", 900144)):
        if not form.get(name):
            raise EntraError(
                400, "invalid_request", number, f"The request body must contain the following parameter: '{name}'."
            )
    if form["grant_type"] != "client_credentials":
        raise EntraError(
            400, "unsupported_grant_type", 70003, f"The app requested an unsupported grant type '{form['grant_type']}'."
        )
    if not form.get("client_secret"):
        raise EntraError(
            401,
            "invalid_client",
            7000216,
            "'client_assertion', 'client_secret' or 'request' is required for the 'client_credentials' grant type.",
        )


def _check_authority(app: App, audience: str, authority: str, tenant: Tenant | None) -> None:
    """Bot tokens: multi-tenant apps at botframework.com, all others at home. Graph tokens: where an admin consented."""
    if audience == BOT_AUDIENCE:
        if app.multi_tenant == (tenant is None):
            return
        raise _unknown_application(app.app_id, authority)
    if tenant is None or not app.consented_in(tenant.id):
        raise _unknown_application(app.app_id, authority)


def _unknown_application(client_id: str, authority: str) -> EntraError:
    return EntraError(
        400,
        "unauthorized_client",
        700016,
        f"Application with identifier '{client_id}' was not found in the directory '{authority}'. This can happen if "
        "the application has not been installed by the administrator of the tenant or consented to by any user in the "
        "tenant. You may have sent your authentication request to the wrong tenant.",
    )


def _error_body(refusal: EntraError, now: str, trace: str, correlation: str) -> dict[str, Any]:
    description = (
        f"AADSTS{refusal.number}: {refusal.text} Trace ID: {trace} Correlation ID: {correlation} Timestamp: {now}"
    )
    return {
        "error": refusal.error,
        "error_description": description,
        "error_codes": [refusal.number],
        "timestamp": now,
        "trace_id": trace,
        "correlation_id": correlation,
        "error_uri": f"https://login.microsoftonline.com/error?code={refusal.number}",
    }


def _json(body: dict[str, Any], status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    return web.Response(body=orjson.dumps(body), status=status, content_type="application/json", headers=headers)
