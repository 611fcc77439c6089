"""Microsoft Graph v1.0: tokens, routing, throttling, faults and errors around the resources."""

import math
from collections.abc import Mapping

import orjson
from aiohttp import web

from simulator.faults import Fault, apply_after, apply_before, fault_response
from simulator.teams import limits
from simulator.teams.errors import GraphError, graph_body
from simulator.teams.graph_apps import GraphApps, Installer
from simulator.teams.graph_batch import read_batch, run_batch
from simulator.teams.graph_call import GraphAnswer, GraphCall, split_path
from simulator.teams.graph_users import get_user, list_users
from simulator.teams.ids import guid
from simulator.teams.people import Tenant
from simulator.teams.state import TeamsState
from simulator.teams.tokens import GRAPH_AUDIENCE, Grant

_USERS, _USER, _INSTALLED = "users", "user", "installed_apps"


class Graph:
    """Graph's one route."""

    def __init__(self, state: TeamsState, install: Installer) -> None:
        self._state = state
        self._apps = GraphApps(state, install)
        self._requests = 0

    def routes(self) -> list[web.RouteDef]:
        """Everything below `/v1.0/`."""
        return [web.route("*", "/v1.0/{path:.*}", self.handle)]

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer one HTTP request, which may be a batch."""
        world = self._state.world
        raw_path = request.rel_url.raw_path.removeprefix("/v1.0/")
        segments = split_path(raw_path)
        operation = _operation(request.method, segments)
        try:
            grant, tenant = self._authorized(request.headers.get("Authorization"))
        except GraphError as error:
            world.counters.call("graph", operation, "", world.clock.monotonic())
            return self._on_wire(self.failure(error))
        if operation == "batch":
            world.counters.call("graph", operation, tenant.id, world.clock.monotonic())
        fault = world.faults.match("graph", operation, tenant.id, _persons(tenant, segments))
        if fault is not None:
            early = await apply_before(request, fault, self._shape, world.clock)
            if early is not None:
                return early
        answer = await self._answered(request, segments, operation, grant, tenant)
        await world.answer_latency()
        return answer if fault is None else await apply_after(request, fault, answer, self._shape, world.clock)

    async def _answered(
        self, request: web.Request, segments: tuple[str, ...], operation: str, grant: Grant, tenant: Tenant
    ) -> web.Response:
        try:
            body = await _json_body(request)
            call = GraphCall(
                request.method, segments, dict(request.query), _lower(request.headers), body, grant, tenant
            )
            if operation != "batch":
                return self._on_wire(self.perform(call))
            steps = read_batch(call)
        except GraphError as error:
            return self._on_wire(self.failure(error))
        parts = run_batch(steps, call, self._part)
        return self._on_wire(GraphAnswer(200, {"responses": parts}))

    def perform(self, call: GraphCall) -> GraphAnswer:
        """Count, throttle and answer one call; errors become answers."""
        world = self._state.world
        operation = _operation(call.method, call.segments)
        world.counters.call("graph", operation, call.tenant.id, world.clock.monotonic())
        cost = _cost(call, operation)
        wait = self._throttled(call, operation, cost)
        if wait is not None:
            world.counters.throttle("graph", operation, call.tenant.id)
            retry = {"Retry-After": str(math.ceil(wait))}
            return self.failure(GraphError(429, "TooManyRequests", "Too many requests.", retry))
        try:
            answer = self._resource(call, operation)
        except GraphError as error:
            answer = self.failure(error)
        return GraphAnswer(answer.status, answer.body, {**answer.headers, "x-ms-resource-unit": str(cost)})

    def failure(self, error: GraphError) -> GraphAnswer:
        """The answer of a refusal."""
        self._requests += 1
        date = self._state.world.clock.now().strftime("%Y-%m-%dT%H:%M:%S")
        body = graph_body(error.code, error.message, date, guid("request", self._requests))
        return GraphAnswer(error.status, body, error.headers)

    def _part(self, call: GraphCall) -> GraphAnswer:
        """One request of a batch; a fault on it can only change its answer."""
        operation = _operation(call.method, call.segments)
        persons = _persons(call.tenant, call.segments)
        fault = self._state.world.faults.match("graph", operation, call.tenant.id, persons)
        if fault is None or not fault.answers:
            return self.perform(call)
        if fault.stored:
            self.perform(call)
        shaped = self._shape(fault)
        body = shaped.body if isinstance(shaped.body, bytes | bytearray) else b""
        return GraphAnswer(shaped.status, _parsed(bytes(body)), dict(shaped.headers))

    def _resource(self, call: GraphCall, operation: str) -> GraphAnswer:
        base = self._state.world.base_url
        match (call.method, call.segments):
            case ("GET", ("users",)):
                return list_users(call, base)
            case ("GET", ("users", name)):
                return get_user(call, name, base)
            case ("GET", ("appCatalogs", "teamsApps")):
                return self._apps.catalog(call, base)
            case ("GET", ("users", name, "teamwork", "installedApps")):
                return self._apps.list_installed(call, name, base)
            case ("POST", ("users", name, "teamwork", "installedApps")):
                return self._apps.install(call, name)
            case ("GET", ("users", name, "teamwork", "installedApps", place)):
                return self._apps.get_installed(call, name, place)
            case ("GET", ("users", name, "teamwork", "installedApps", place, "chat")):
                return self._apps.chat(call, name, place)
            case ("DELETE", ("users", name, "teamwork", "installedApps", place)):
                return self._apps.uninstall(call, name, place)
        if operation == "other":
            last = call.segments[-1] if call.segments else ""
            raise GraphError(400, "BadRequest", f"Resource not found for the segment '{last}'.")
        raise GraphError(405, "Request_BadRequest", "Specified HTTP method is not allowed for the request target.")

    def _authorized(self, authorization: str | None) -> tuple[Grant, Tenant]:
        grant = self._state.tokens.check(authorization)
        if isinstance(grant, str):
            raise GraphError(401, "InvalidAuthenticationToken", _TOKEN_TEXTS[grant])
        tenant = self._state.directory.tenant(grant.tenant)
        if grant.audience != GRAPH_AUDIENCE or tenant is None:
            text = "Access token validation failure. Invalid audience."
            raise GraphError(401, "InvalidAuthenticationToken", text)
        return grant, tenant

    def _throttled(self, call: GraphCall, operation: str, cost: int) -> float | None:
        state = self._state
        if not state.world.limits_on:
            return None
        now = state.world.clock.monotonic()
        scope = (call.grant.app_id, call.tenant.id)
        if operation == _INSTALLED:
            rates = limits.INSTALLED_APPS_DELETE if call.method == "DELETE" else limits.INSTALLED_APPS_READ_WRITE
            return state.limiter.take(("installed", call.method, *scope), rates, now)
        return state.limiter.take(("units", *scope), limits.graph_units(len(call.tenant.people)), now, cost)

    def _shape(self, fault: Fault) -> web.Response:
        status = fault.status or 503
        code = fault.code or _CODES.get(status, "UnknownError")
        body = self.failure(GraphError(status, code, "The request was refused.")).body
        return fault_response(fault, status, body)

    def _on_wire(self, answer: GraphAnswer) -> web.Response:
        if answer.body is None:
            return web.Response(status=answer.status, headers=answer.headers)
        raw = orjson.dumps(answer.body)
        return web.Response(
            status=answer.status, body=raw, content_type="application/json", charset="utf-8", headers=answer.headers
        )


_TOKEN_TEXTS = {
    "missing": "Access token is empty.",
    "unknown": "Access token validation failure. Invalid signature.",
    "expired": "Lifetime validation failed, the token is expired.",
}
_CODES = {
    401: "InvalidAuthenticationToken",
    403: "Authorization_RequestDenied",
    404: "Request_ResourceNotFound",
    409: "Conflict",
    429: "TooManyRequests",
    500: "InternalServerError",
    503: "ServiceUnavailable",
    504: "GatewayTimeout",
}


def _operation(method: str, segments: tuple[str, ...]) -> str:
    match segments:
        case ("$batch",) if method == "POST":
            return "batch"
        case ("users",):
            return _USERS
        case ("users", _):
            return _USER
        case ("users", _, "teamwork", "installedApps", *_):
            return _INSTALLED
        case ("appCatalogs", "teamsApps"):
            return "catalog"
    return "other"


def _persons(tenant: Tenant, segments: tuple[str, ...]) -> tuple[str, ...]:
    if len(segments) < 2 or segments[0] != "users":
        return ()
    person = tenant.account(segments[1])
    return (segments[1],) if person is None else person.names


def _cost(call: GraphCall, operation: str) -> int:
    """Resource units: a list of users costs 2, anything else 1, and `$select` saves one."""
    if operation == _USERS:
        return 1 if "$select" in call.query else 2
    return 1


async def _json_body(request: web.Request) -> object:
    raw = await request.read()
    if not raw:
        return None
    if request.content_type != "application/json":
        raise GraphError(415, "UnsupportedMediaType", "The content type must be application/json.")
    try:
        body: object = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise GraphError(400, "BadRequest", "Unable to read JSON request payload.") from error
    return body


def _parsed(raw: bytes) -> object:
    try:
        return orjson.loads(raw) if raw else None
    except orjson.JSONDecodeError:
        return raw.decode("utf-8", "replace")


def _lower(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}
