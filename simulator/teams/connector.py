"""The Bot Connector as Teams speaks it: conversations, activities and members.

```
 token ──▶ whose conversation ──▶ limits ──▶ fault? ──▶ the operation ──▶ latency ──▶ fault? ──▶ answer
```
Sources: Bot Framework, "Connector API reference"; Microsoft Teams, "Send proactive messages".
"""

import math
from collections.abc import Awaitable, Callable, Sequence

import orjson
from aiohttp import web

from simulator.faults import Fault, apply_after, apply_before, fault_response
from simulator.limits import Rate
from simulator.teams import limits
from simulator.teams.apps import App
from simulator.teams.connector_create import wanted_chat
from simulator.teams.connector_operations import Operations
from simulator.teams.conversations import Conversation
from simulator.teams.errors import ConnectorError, connector_body
from simulator.teams.ids import is_chat_id
from simulator.teams.state import TeamsState
from simulator.teams.tokens import BOT_AUDIENCE

_SENDS = ("send", limits.SEND_PER_CONVERSATION)
_THREAD_LIMITS: dict[str, tuple[str, tuple[Rate, ...]]] = {
    "create": ("create", limits.CREATE_PER_CONVERSATION),
    "send": _SENDS,
    "reply": _SENDS,
    "update": _SENDS,
    "delete": _SENDS,
    "members": ("members", limits.MEMBERS_PER_CONVERSATION),
    "member": ("members", limits.MEMBERS_PER_CONVERSATION),
    "paged_members": ("members", limits.MEMBERS_PER_CONVERSATION),
}
Operation = Callable[[web.Request, App, Conversation], Awaitable[web.Response]]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Connector:
    """The connector's routes, at the global and at the regional service URL."""

    def __init__(self, state: TeamsState) -> None:
        self._state = state
        self._operations = Operations(state)

    def routes(self) -> list[web.RouteDef]:
        """Every operation twice: below `/teams/` and below `/teams/{tenant}/`."""
        return [route for prefix in ("/teams", "/teams/{tenant}") for route in self._routes(f"{prefix}/v3")]

    def _routes(self, prefix: str) -> Sequence[web.RouteDef]:
        conversation = f"{prefix}/conversations/{{conversation}}"
        operations = self._operations
        return [
            web.post(f"{prefix}/conversations", self._create),
            web.post(f"{conversation}/activities", self._on_conversation("send", operations.send)),
            web.post(f"{conversation}/activities/{{activity}}", self._on_conversation("reply", operations.send)),
            web.put(f"{conversation}/activities/{{activity}}", self._on_conversation("update", operations.update)),
            web.delete(f"{conversation}/activities/{{activity}}", self._on_conversation("delete", operations.delete)),
            web.get(f"{conversation}/members", self._on_conversation("members", operations.members)),
            web.get(f"{conversation}/pagedmembers", self._on_conversation("paged_members", operations.paged_members)),
            web.get(f"{conversation}/members/{{member}}", self._on_conversation("member", operations.member)),
        ]

    async def _create(self, request: web.Request) -> web.StreamResponse:
        try:
            app = self._app(request)
            body = await self._operations.body(request)
            conversation = wanted_chat(self._state, app, body, request.match_info.get("tenant"))
        except ConnectorError as error:
            self._count("create", request.match_info.get("tenant", ""))
            return error.answer()
        return await self._perform(request, "create", app, conversation, self._operations.create)

    def _on_conversation(self, name: str, operation: Operation) -> Handler:
        async def handle(request: web.Request) -> web.StreamResponse:
            try:
                app = self._app(request)
                conversation = self._conversation(request, app)
            except ConnectorError as error:
                self._count(name, request.match_info.get("tenant", ""))
                return error.answer()
            return await self._perform(request, name, app, conversation, operation)

        return handle

    async def _perform(
        self, request: web.Request, name: str, app: App, conversation: Conversation, operation: Operation
    ) -> web.StreamResponse:
        world = self._state.world
        self._count(name, conversation.tenant.id)
        wait = self._throttled(name, app, conversation)
        if wait is not None:
            world.counters.throttle("connector", name, conversation.tenant.id)
            return ConnectorError("Throttled", headers={"Retry-After": str(math.ceil(wait))}).answer()
        fault = world.faults.match("connector", name, conversation.tenant.id, conversation.names)
        if fault is not None:
            early = await apply_before(request, fault, _shape, world.clock)
            if early is not None:
                return early
        try:
            answer = await operation(request, app, conversation)
        except ConnectorError as error:
            answer = error.answer()
        await world.answer_latency()
        return answer if fault is None else await apply_after(request, fault, answer, _shape, world.clock)

    def _count(self, name: str, tenant: str) -> None:
        world = self._state.world
        world.counters.call("connector", name, tenant, world.clock.monotonic())

    def _app(self, request: web.Request) -> App:
        grant = self._state.tokens.check(request.headers.get("Authorization"))
        if isinstance(grant, str) or grant.audience != BOT_AUDIENCE:
            raise ConnectorError("Unauthorized")
        app = self._state.apps.get(grant.app_id)
        if app is None or not app.teams_channel:
            raise ConnectorError("BotNotRegistered")
        return app

    def _conversation(self, request: web.Request, app: App) -> Conversation:
        conversation_id = request.match_info["conversation"].partition(";messageid=")[0]
        conversation = self._state.conversations.get(app.app_id, conversation_id)
        if conversation is None:
            readable = conversation_id.startswith("19:") or is_chat_id(app.app_id, conversation_id)
            raise ConnectorError("ConversationNotFound" if readable else "BadArgument")
        tenant = request.match_info.get("tenant")
        if tenant is not None and tenant != conversation.tenant.id:
            raise ConnectorError("ConversationNotFound")
        return conversation

    def _throttled(self, name: str, app: App, conversation: Conversation) -> float | None:
        """Seconds until the call would pass. The whole app counts first, then the one conversation."""
        state = self._state
        if not state.world.limits_on:
            return None
        now = state.world.clock.monotonic()
        wait = state.limiter.take(("app", app.app_id, conversation.tenant.id), limits.APP_PER_TENANT, now)
        if wait is not None:
            return wait
        group, rates = _THREAD_LIMITS[name]
        return state.limiter.take((group, app.app_id, conversation.mailbox), rates, now)


def _shape(fault: Fault) -> web.Response:
    status, body = connector_body(fault.code or ("Throttled" if fault.status == 429 else "ServiceError"))
    return fault_response(fault, status, orjson.dumps(body).decode())
