"""Control of the Teams half, below `/_sim/teams/`."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from simulator.control import json_answer, json_object, refuse
from simulator.teams.activity_templates import BadEvent
from simulator.teams.apps import App, BadApp
from simulator.teams.control_requests import (
    BadControl,
    app_of,
    chosen_people,
    conversation_json,
    conversation_of,
    person_json,
    person_of,
    tenant_of,
)
from simulator.teams.conversations import Conversation
from simulator.teams.events import Events, Posted, change_install
from simulator.teams.forged import post_activity
from simulator.teams.ids import bot_user_id
from simulator.teams.people_changes import add_person, change_person
from simulator.teams.pressing import NotThereError, activity_of, find
from simulator.teams.state import TeamsState

_ACTIONS = ("add", "remove", "add-upgrade", "remove-upgrade")
_CONCURRENCY = 16
_FAILURES_SHOWN = 20
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class TeamsControl:
    """Handlers of the control routes."""

    def __init__(self, state: TeamsState, events: Events) -> None:
        self._state = state
        self._events = events

    def routes(self) -> list[web.RouteDef]:
        """All of them."""
        base = "/_sim/teams"
        return [
            web.get(f"{base}/apps", self._guard(self._apps)),
            web.post(f"{base}/apps", self._guard(self._register)),
            web.delete(f"{base}/apps/{{app_id}}", self._guard(self._unregister)),
            web.get(f"{base}/people", self._guard(self._people)),
            web.post(f"{base}/people", self._guard(self._add_person)),
            web.patch(f"{base}/people", self._guard(self._change_person)),
            web.get(f"{base}/conversations", self._guard(self._conversation)),
            web.post(f"{base}/conversations/forget", self._guard(self._forget)),
            web.post(f"{base}/installs", self._guard(self._installs)),
            web.post(f"{base}/events", self._guard(self._event)),
            web.post(f"{base}/press", self._guard(self._press)),
            web.post(f"{base}/activities", self._guard(self._activity)),
            web.post(f"{base}/keys/roll", self._guard(self._roll)),
            web.post(f"{base}/tokens/revoke", self._guard(self._revoke)),
            web.post(f"{base}/settle", self._guard(self._settle)),
        ]

    def _guard(self, handler: Handler) -> Handler:
        async def guarded(request: web.Request) -> web.StreamResponse:
            try:
                return await handler(request)
            except (BadApp, BadControl, BadEvent, NotThereError) as error:
                return refuse(str(error))

        return guarded

    async def _apps(self, request: web.Request) -> web.Response:
        return json_answer({"apps": [app.as_json() for app in self._state.apps.all()]})

    async def _register(self, request: web.Request) -> web.Response:
        data = await json_object(request)
        if "tenant" in data:
            data["tenant"] = tenant_of(self._state, data).id
        return json_answer(self._state.apps.register(data).as_json(), 201)

    async def _unregister(self, request: web.Request) -> web.Response:
        if self._state.apps.remove(request.match_info["app_id"]):
            return json_answer({"ok": True})
        return refuse("unknown app_id", 404)

    async def _people(self, request: web.Request) -> web.Response:
        query = dict(request.query)
        tenant = tenant_of(self._state, query)
        if "person" in query:
            person = person_of(self._state, None, tenant, query["person"])
            return json_answer({"total": 1, "people": [person_json(tenant, person)]})
        offset, limit = int(query.get("offset", "0")), int(query.get("limit", "100"))
        shown = [person_json(tenant, person) for person in tenant.people[offset : offset + limit]]
        return json_answer({"total": len(tenant.people), "people": shown})

    async def _add_person(self, request: web.Request) -> web.Response:
        data = await json_object(request)
        tenant = tenant_of(self._state, data)
        return json_answer(person_json(tenant, add_person(tenant, data)), 201)

    async def _change_person(self, request: web.Request) -> web.Response:
        data = await json_object(request)
        tenant = tenant_of(self._state, data)
        person = person_of(self._state, None, tenant, data.get("person"))
        changes = {name: value for name, value in data.items() if name not in ("tenant", "person")}
        change_person(tenant, person, changes)
        if changes.get("left"):
            await self._remove_everywhere(person.id)
        return json_answer(person_json(tenant, person))

    async def _remove_everywhere(self, person_id: str) -> None:
        """A person who leaves takes the chats along; each bot hears that it was removed."""
        for conversation in list(self._state.conversations.all()):
            app = self._state.apps.get(conversation.app_id)
            if conversation.kind == "personal" and conversation.person.id == person_id and app is not None:
                change_install(conversation, "remove")
                bot = [bot_user_id(app.app_id)]
                removed = self._events.templates.membership(app, conversation, bot, added=False)
                await self._events.tell(app, [removed])

    async def _conversation(self, request: web.Request) -> web.Response:
        query = dict(request.query)
        conversation = conversation_of(self._state, app_of(self._state, query), query)
        return json_answer(conversation_json(self._state, conversation))

    async def _forget(self, request: web.Request) -> web.Response:
        data = await json_object(request)
        conversation = conversation_of(self._state, app_of(self._state, data), data)
        if conversation.kind != "personal":
            raise BadControl("only personal chats can be forgotten")
        self._state.conversations.forget(conversation)
        return json_answer(conversation_json(self._state, conversation))

    async def _installs(self, request: web.Request) -> web.Response:
        data = await json_object(request)
        action = data.get("action", "add")
        if action not in _ACTIONS:
            raise BadControl(f"action must be one of {', '.join(_ACTIONS)}")
        app = app_of(self._state, data)
        conversations = self._chosen(app, data)
        changed = sum(change_install(conversation, action) for conversation in conversations)
        notify = bool(data.get("notify", True)) and bool(app.messaging_endpoint)
        report: dict[str, Any] = {"requested": len(conversations), "changed": changed, "notified": notify}
        if notify:
            concurrency = int(data.get("concurrency", _CONCURRENCY))
            report |= await self._announce(app, conversations, action, concurrency)
        return json_answer(report)

    def _chosen(self, app: App, data: dict[str, Any]) -> list[Conversation]:
        tenant = tenant_of(self._state, data)
        people = chosen_people(self._state, app, tenant, data)
        if people is None:
            return [conversation_of(self._state, app, data)]
        if not app.usable_in(tenant.id):
            raise BadControl("a single-tenant app works in its home tenant only; register a MultiTenant app")
        return [self._state.conversations.personal(app, tenant, person) for person in people]

    async def _announce(
        self, app: App, conversations: list[Conversation], action: str, concurrency: int
    ) -> dict[str, Any]:
        """Tell the bot of every install, at most `concurrency` at once; count those it took completely."""
        turn = asyncio.Semaphore(max(1, concurrency))

        async def one(conversation: Conversation) -> list[Posted]:
            async with turn:
                return await self._events.tell(app, self._events.templates.lifecycle(app, conversation, action))

        answers = await asyncio.gather(*map(one, conversations))
        pairs = list(zip(conversations, answers, strict=True))
        failed = [(each, posts) for each, posts in pairs if not all(post.accepted for post in posts)]
        shown = [
            {"conversation": each.id, "answers": [post.as_json() for post in posts]}
            for each, posts in failed[:_FAILURES_SHOWN]
        ]
        return {"accepted": len(pairs) - len(failed), "failed": len(failed), "failures": shown}

    async def _event(self, request: web.Request) -> web.Response:
        data = await json_object(request)
        app = app_of(self._state, data)
        conversation = conversation_of(self._state, app, data)
        activity = self._events.templates.event(app, conversation, str(data.get("kind")), data)
        if data.get("kind") == "message":
            conversation.exists = True
            if conversation.kind == "personal":
                conversation.person.block = None  # whoever writes has unblocked the bot
        answers = await self._events.tell(app, [activity])
        return json_answer({"activity": activity, "answers": [each.as_json() for each in answers]})

    async def _press(self, request: web.Request) -> web.Response:
        """A person presses a button of a message that this bot sent them."""
        data = await json_object(request)
        app = app_of(self._state, data)
        conversation = conversation_of(self._state, app, data)
        message_id, title, inputs = data.get("message_id"), data.get("title"), data.get("inputs", {})
        if not isinstance(title, str) or not isinstance(inputs, dict):
            raise BadControl("title is the text on the button, inputs an object of what was filled in")
        message = self._state.world.mailboxes.find("teams", conversation.tenant.id, conversation.id, str(message_id))
        if message is None or message_id not in conversation.bot_messages:
            raise BadControl("the bot has sent no such message into this conversation")
        pressed = activity_of(
            find(message.body, title), inputs, str(message_id), names_message=bool(data.get("names_message"))
        )
        activity = {**self._events.templates.base(app, conversation), **pressed}
        if "text" in pressed:
            activity["id"] = self._state.next_message_id()  # it stands in the chat
        answers = [post for _ in range(int(data.get("copies", 1))) for post in await self._events.tell(app, [activity])]
        return json_answer({"activity": activity, "answers": [each.as_json() for each in answers]})

    async def _activity(self, request: web.Request) -> web.Response:
        data = await json_object(request)
        posted, authorization = await post_activity(self._state, self._events, app_of(self._state, data), data)
        return json_answer({**posted.as_json(), "authorization": authorization})

    async def _roll(self, request: web.Request) -> web.Response:
        data = await json_object(request)
        key = self._state.bot_keys.roll(keep_old=bool(data.get("keep_old", True)))
        return json_answer({"kid": key.kid, "published": [each.kid for each in self._state.bot_keys.published()]})

    async def _revoke(self, request: web.Request) -> web.Response:
        return json_answer({"revoked": self._state.tokens.revoke_all()})

    async def _settle(self, request: web.Request) -> web.Response:
        await self._events.settle()
        return json_answer({"ok": True})
