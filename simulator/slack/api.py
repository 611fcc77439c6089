"""The Web API: one pipeline for all methods.

```
 read ─▶ authenticate ─▶ count ─▶ fault before? ─▶ limit ─▶ scopes ─▶ method ─▶ latency ─▶ fault after? ─▶ answer
```
"""

import base64
import binascii
from collections.abc import Awaitable, Callable

from aiohttp import web

from simulator.faults import apply_after, apply_before
from simulator.slack.answers import SlackError, answer, missing_scope, shape_fault, throttled
from simulator.slack.apps import Install
from simulator.slack.arguments import Arguments, read_arguments
from simulator.slack.call import Call, Method, Slack
from simulator.slack.methods import METHODS
from simulator.slack.throttle import Throttle

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_NAMES_OF_PEOPLE = ("channel", "user", "users", "email")
_REFUSAL_OF_STATE = {"revoked": "token_revoked", "inactive": "account_inactive"}


class WebApi:
    """Answers `/api/{method}`."""

    def __init__(self, slack: Slack, throttle: Throttle) -> None:
        self._slack = slack
        self._world = slack.world
        self._throttle = throttle

    def routes(self) -> list[web.RouteDef]:
        """A route for each method, and one for what does not exist."""
        routes: list[web.RouteDef] = []
        for method in METHODS:
            handler = self._handler(method)
            path = f"/api/{method.name}"
            routes += [web.post(path, handler), web.get(path, handler, allow_head=False)]
        unknown = "/api/{method}"
        return [*routes, web.post(unknown, _unknown), web.get(unknown, _unknown, allow_head=False)]

    def _handler(self, method: Method) -> Handler:
        async def handle(request: web.Request) -> web.StreamResponse:
            return await self._handle(method, request)

        return handle

    async def _handle(self, method: Method, request: web.Request) -> web.StreamResponse:
        world = self._world
        refusal: SlackError | None = None
        arguments, caller = Arguments({}), None
        try:
            arguments = await read_arguments(request, method.takes_json)
            caller = self._authenticate(method, arguments)
        except SlackError as error:
            refusal = error
        tenant = self._tenant(caller, arguments)
        world.counters.call("slack", method.name, tenant, world.clock.monotonic())
        fault = None
        if not world.faults.empty:
            fault = world.faults.match("slack", method.name, tenant or None, self._people(arguments))
        if fault is not None:
            early = await apply_before(request, fault, shape_fault, world.clock)
            if early is not None:
                return self._counted(method, tenant, early)
        call = Call(self._slack, arguments, caller, _basic(request))
        response = self._run(method, call, tenant, refusal)
        await world.answer_latency()
        if fault is not None:
            return self._counted(method, tenant, await apply_after(request, fault, response, shape_fault, world.clock))
        return response

    def _run(self, method: Method, call: Call, tenant: str, refusal: SlackError | None) -> web.Response:
        channel = self._channel(call)
        wait = self._throttle.take(method, call.caller, tenant, channel, self._world.clock.monotonic())
        if wait is not None:
            self._world.counters.throttle("slack", method.name, tenant)
            return throttled(wait)
        install = call.caller
        try:
            if refusal is not None:
                raise refusal
            if install is not None and method.scopes and not any(each in install.scopes for each in method.scopes):
                raise missing_scope(method.scopes[0], install.scopes)
            body = method.run(call)
        except SlackError as error:
            body = error.body
        warnings = call.arguments.warnings + call.warnings
        if warnings:
            metadata = body.get("response_metadata", {})
            body = {**body, "warning": ",".join(warnings), "response_metadata": {**metadata, "warnings": warnings}}
        return answer(body, _scope_headers(method, install))

    def _authenticate(self, method: Method, arguments: Arguments) -> Install | None:
        if not method.needs_token:
            return None
        if not arguments.token:
            raise SlackError("not_authed")
        install = self._slack.registry.installs.get(arguments.token)
        if install is None:
            raise SlackError("invalid_auth")
        if install.state != "active":
            raise SlackError(_REFUSAL_OF_STATE[install.state])
        return install

    def _tenant(self, caller: Install | None, arguments: Arguments) -> str:
        """The workspace that a call counts for: with an org-wide token the one that it names, or the person's."""
        if caller is None:
            return ""
        if caller.team_id is not None:
            return caller.team_id
        named = arguments.text("team_id")
        if named in caller.granted:
            return named
        for name in ("channel", "user", "users"):
            identifier = arguments.text(name).partition(",")[0]
            conversation = self._slack.conversations.get(identifier)
            if conversation is not None:
                return conversation.workspace.id
            found = self._slack.directory.find(identifier, caller.granted) if identifier else None
            if found is not None:
                return found[0].id
        return caller.enterprise_id or ""

    def _channel(self, call: Call) -> str:
        """The person behind a channel, so that `U…` and `D…` share one limit."""
        channel = call.arguments.text("channel")
        conversation = self._slack.conversations.get(channel) if channel[:1] == "D" else None
        return conversation.user_id if conversation is not None else channel

    def _people(self, arguments: Arguments) -> set[str]:
        """Every name of the person whom a call is about: ids and e-mail."""
        names = {arguments.text(name).partition(",")[0] for name in _NAMES_OF_PEOPLE} - {""}
        for name in list(names):
            conversation = self._slack.conversations.get(name)
            identifier = conversation.user_id if conversation is not None else name
            found = self._slack.directory.find(identifier)
            if found is None and "@" in name:
                users = (each.by_email(name) for each in self._slack.directory.workspaces.values())
                names |= {user.id for user in users if user is not None}
            elif found is not None:
                names |= {found[1].id, found[1].email or found[1].id}
        return names

    def _counted(self, method: Method, tenant: str, response: web.StreamResponse) -> web.StreamResponse:
        if response.status == 429:
            self._world.counters.throttle("slack", method.name, tenant)
        return response


async def _unknown(request: web.Request) -> web.StreamResponse:
    return answer({"ok": False, "error": "unknown_method", "req_method": request.match_info["method"]})


def _scope_headers(method: Method, install: Install | None) -> dict[str, str] | None:
    if install is None:
        return None
    headers = install.headers.get(method.name)
    if headers is None:
        headers = {"X-OAuth-Scopes": ",".join(install.scopes), "X-Accepted-OAuth-Scopes": ",".join(method.scopes)}
        install.headers[method.name] = headers
    return headers


def _basic(request: web.Request) -> tuple[str, str] | None:
    """Client id and secret of HTTP basic authentication, which oauth.v2.access accepts."""
    header = request.headers.get("Authorization", "")
    if header[:6].lower() != "basic ":
        return None
    try:
        client_id, _, secret = base64.b64decode(header[6:], validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    return client_id, secret
