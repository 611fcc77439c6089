"""What the connector does once a call was let through."""

from datetime import datetime
from typing import Any

import orjson
from aiohttp import web

from simulator.teams.activities import Activity, check_activity, check_size, parse_body
from simulator.teams.apps import App
from simulator.teams.connector_create import check_may_open
from simulator.teams.conversations import Conversation
from simulator.teams.errors import ConnectorError
from simulator.teams.people import TeamsPerson
from simulator.teams.state import MESSAGE_BYTES, SPLIT_MESSAGES, TeamsState

_JSON = "application/json"


class Operations:
    """The connector's operations on one conversation."""

    def __init__(self, state: TeamsState) -> None:
        self._state = state

    async def create(self, request: web.Request, app: App, conversation: Conversation) -> web.Response:
        """Open a chat (the same id for the same pair), and post the activity if there is one."""
        body = parse_body(await request.read())
        activity = body.get("activity")
        if conversation.kind == "personal":
            check_may_open(app, conversation)
        if not isinstance(activity, dict):
            conversation.exists = True
            return _answer(201, {"id": conversation.id})
        check_activity(activity)
        conversation.exists = True
        self._check_writable(app, conversation)
        message_id = self._deliver(app, conversation, activity)
        suffix = "" if conversation.kind == "personal" else f";messageid={message_id}"
        return _answer(201, {"id": conversation.id + suffix, "activityId": message_id})

    async def send(self, request: web.Request, app: App, conversation: Conversation) -> web.Response:
        """Post an activity; also as a reply to another one, which a personal chat shows as a plain message."""
        activity = await self._activity(request)
        self._check_writable(app, conversation)
        message_id = self._deliver(app, conversation, activity)
        split = self._state.world.settings[SPLIT_MESSAGES] and activity.get("text") and activity.get("attachments")
        return _answer(201, {} if split else {"id": message_id})

    async def update(self, request: web.Request, app: App, conversation: Conversation) -> web.Response:
        """Replace a message of the bot."""
        activity = await self._activity(request)
        self._check_writable(app, conversation)
        message_id = self._own_message(request, conversation)
        self._state.world.mailboxes.edit(
            "teams", conversation.tenant.id, conversation.id, message_id, activity, self._now()
        )
        return _answer(200, {"id": message_id})

    async def delete(self, request: web.Request, app: App, conversation: Conversation) -> web.Response:
        """Take a message of the bot away."""
        self._check_writable(app, conversation)
        message_id = self._own_message(request, conversation)
        conversation.bot_messages.discard(message_id)
        self._state.world.mailboxes.delete("teams", conversation.tenant.id, conversation.id, message_id, self._now())
        return web.Response(status=200)

    async def members(self, request: web.Request, app: App, conversation: Conversation) -> web.Response:
        """Everybody in the conversation."""
        self._check_in_roster(app, conversation)
        return _answer(200, _members(conversation))

    async def paged_members(self, request: web.Request, app: App, conversation: Conversation) -> web.Response:
        """The same in one page."""
        self._check_in_roster(app, conversation)
        return _answer(200, {"members": _members(conversation)})

    async def member(self, request: web.Request, app: App, conversation: Conversation) -> web.Response:
        """One member, with the e-mail."""
        self._check_in_roster(app, conversation)
        found = conversation.member(request.match_info["member"])
        if found is None or found[0].left:
            raise ConnectorError("MemberNotFoundInConversation")
        return _answer(200, _member(conversation.tenant.id, *found))

    async def body(self, request: web.Request) -> dict[str, Any]:
        """The JSON object of a request with a body."""
        if request.content_type != _JSON:
            raise web.HTTPUnsupportedMediaType(
                text=orjson.dumps({"message": f"The media type '{request.content_type}' is not supported."}).decode(),
                content_type=_JSON,
            )
        raw = await request.read()
        parsed = parse_body(raw)
        check_size(raw, int(self._state.world.settings[MESSAGE_BYTES]))
        return parsed

    async def _activity(self, request: web.Request) -> Activity:
        activity = await self.body(request)
        check_activity(activity)
        return activity

    def _check_in_roster(self, app: App, conversation: Conversation) -> None:
        if conversation.tenant.id in app.disabled_in:
            raise ConnectorError("BotDisabledByAdmin")
        if not conversation.exists:
            raise ConnectorError("ConversationNotFound")
        if not conversation.installed:
            raise ConnectorError("BotNotInConversationRoster")

    def _check_writable(self, app: App, conversation: Conversation) -> None:
        self._check_in_roster(app, conversation)
        if conversation.kind == "personal" and conversation.person.block is not None:
            raise ConnectorError(conversation.person.block)

    def _deliver(self, app: App, conversation: Conversation, activity: Activity) -> str:
        message_id = self._state.next_message_id()
        if activity["type"] != "message":
            return message_id
        conversation.bot_messages.add(message_id)
        self._state.world.mailboxes.deliver(
            "teams",
            conversation.tenant.id,
            conversation.mailbox,
            conversation.id,
            message_id,
            activity,
            self._now(),
            conversation.person.mail if conversation.kind == "personal" else "",
            conversation.person.name if conversation.kind == "personal" else conversation.name,
            app.name,
        )
        return message_id

    def _own_message(self, request: web.Request, conversation: Conversation) -> str:
        message_id = request.match_info["activity"]
        if message_id not in conversation.bot_messages:
            raise ConnectorError("ActivityNotFoundInConversation")
        return message_id

    def _now(self) -> datetime:
        return self._state.world.clock.now()


def _members(conversation: Conversation) -> list[dict[str, Any]]:
    pairs = zip(conversation.members, conversation.user_ids, strict=True)
    return [_member(conversation.tenant.id, person, user_id) for person, user_id in pairs if not person.left]


def _member(tenant_id: str, person: TeamsPerson, user_id: str) -> dict[str, Any]:
    """A Teams channel account (Microsoft Teams, "Get Teams specific context for your bot")."""
    return {
        "id": user_id,
        "name": person.name,
        "givenName": person.first,
        "surname": person.last,
        "email": person.mail,
        "userPrincipalName": person.upn,
        "aadObjectId": person.id,
        "objectId": person.id,
        "tenantId": tenant_id,
        "userRole": "guest" if person.guest else "user",
    }


def _answer(status: int, body: object) -> web.Response:
    return web.Response(status=status, body=orjson.dumps(body), content_type=_JSON)
