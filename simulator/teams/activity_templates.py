"""Activities as Teams sends them to a bot.

Sources: Microsoft Teams, "Conversation events in your Teams bot" (conversationUpdate, installationUpdate, message
reactions, read receipts) and "Receive a message".
"""

from collections.abc import Callable
from typing import Any

from simulator.teams.apps import App
from simulator.teams.conversations import Conversation
from simulator.teams.ids import bot_user_id, guid
from simulator.teams.people import TeamsPerson
from simulator.teams.state import TeamsState

Activity = dict[str, Any]
Details = dict[str, Any]

READ_RECEIPT = "application/vnd.microsoft.readReceipt"


class BadEvent(ValueError):
    """An event lacks a detail or has an unknown kind."""


class Templates:
    """Builds activities of one simulator."""

    def __init__(self, state: TeamsState) -> None:
        self._state = state
        self._count = 0

    def base(self, app: App, conversation: Conversation, sender: TeamsPerson | None = None) -> Activity:
        """What all activities share; without a type."""
        self._count += 1
        person = sender or conversation.person
        place = conversation.member(person.id)
        now = self._state.world.clock.now()
        return {
            "id": f"f:{guid('activity', app.app_id, self._count)}",
            "timestamp": now.strftime("%Y-%m-%dT%H:%M:%S.") + f"{now.microsecond // 1000:03}Z",
            "channelId": "msteams",
            "serviceUrl": self._state.service_url(conversation.tenant),
            "from": {"id": place[1] if place else "", "name": person.name, "aadObjectId": person.id},
            "conversation": _conversation(conversation),
            "recipient": {"id": bot_user_id(app.app_id), "name": app.name},
            "locale": "en-US",
            "channelData": _channel_data(conversation),
        }

    def lifecycle(self, app: App, conversation: Conversation, action: str) -> list[Activity]:
        """The two activities of an install (add, add-upgrade) or a removal, in the order in which they are sent."""
        installation = {**self.base(app, conversation), "type": "installationUpdate", "action": action}
        data = {**installation["channelData"], "source": {"name": "message"}}
        if conversation.kind != "groupChat":
            selected = conversation.graph_id if conversation.kind == "channel" else conversation.id
            data["settings"] = {"selectedChannel": {"id": selected}}
        installation["channelData"] = data
        added = action.startswith("add")
        return [installation, self.membership(app, conversation, [bot_user_id(app.app_id)], added=added)]

    def membership(self, app: App, conversation: Conversation, member_ids: list[str], *, added: bool) -> Activity:
        """A conversationUpdate about members, who may be the bot."""
        update = {**self.base(app, conversation), "type": "conversationUpdate"}
        update["membersAdded" if added else "membersRemoved"] = [{"id": each} for each in member_ids]
        if conversation.kind == "channel":
            event = "teamMemberAdded" if added else "teamMemberRemoved"
            update["channelData"] = {**update["channelData"], "eventType": event}
        return update

    def event(self, app: App, conversation: Conversation, kind: str, details: Details) -> Activity:
        """What a person does in a conversation: message, reaction, read, submit or invoke."""
        build = _EVENTS.get(kind)
        if build is None:
            raise BadEvent(f"kind must be one of {', '.join(_EVENTS)}")
        activity = {**self.base(app, conversation), **build(details)}
        if activity["type"] != "event":
            activity["id"] = self._state.next_message_id()
        return activity


def _conversation(conversation: Conversation) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "conversationType": conversation.kind,
        "tenantId": conversation.tenant.id,
        "id": conversation.id,
    }
    if conversation.kind != "personal":
        shown |= {"isGroup": True, "name": conversation.name}
    return shown


def _channel_data(conversation: Conversation) -> dict[str, Any]:
    data: dict[str, Any] = {"tenant": {"id": conversation.tenant.id}}
    if conversation.kind == "channel":
        team = {"id": conversation.id, "name": conversation.name, "aadGroupId": guid("team", conversation.id)}
        data |= {"team": team, "channel": {"id": conversation.id}}
    return data


def _message(details: Details) -> Activity:
    text = _text(details, "text")
    html = {"contentType": "text/html", "content": f"<p>{text}</p>"}
    return {"type": "message", "text": text, "textFormat": "plain", "attachments": [html]}


def _reaction(details: Details) -> Activity:
    reactions = [{"type": each} for each in details.get("reactions", ["like"])]
    name = "reactionsRemoved" if details.get("removed") else "reactionsAdded"
    return {"type": "messageReaction", "replyToId": _text(details, "message_id"), name: reactions}


def _read(details: Details) -> Activity:
    value = {"lastReadMessageId": _text(details, "message_id")}
    return {"type": "event", "name": READ_RECEIPT, "value": value}


def _submit(details: Details) -> Activity:
    return {"type": "message", "replyToId": _text(details, "message_id"), "value": details.get("value", {})}


def _invoke(details: Details) -> Activity:
    name = details.get("name", "adaptiveCard/action")
    return {"type": "invoke", "name": name, "value": details.get("value", {})}


def _text(details: Details, name: str) -> str:
    value = details.get(name)
    if not isinstance(value, str):
        raise BadEvent(f"{name} is required")
    return value


_EVENTS: dict[str, Callable[[Details], Activity]] = {
    "message": _message,
    "reaction": _reaction,
    "read": _read,
    "submit": _submit,
    "invoke": _invoke,
}
