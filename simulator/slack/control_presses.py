"""Control of presses: a person presses a button in a message, and the app hears of it."""

from aiohttp import web

from simulator.control import json_answer, json_object
from simulator.slack.apps import Install
from simulator.slack.call import Slack
from simulator.slack.control_base import About, ControlError, Json, check_fields, guarded
from simulator.slack.conversations import Conversation
from simulator.slack.directory import User, Workspace
from simulator.slack.events import EventSender, Tampering
from simulator.slack.pressing import Element, NotThereError, action_of, as_sent, find, state_of

_WHICH = {"action_id": str, "block_id": str, "label": str, "value": str}
_CHOICE = {"option": str, "options": list, "given": object}
_PLACE = frozenset({"token", "app_id", "client_id", "team", "user", "message", "bad_signature", "timestamp_offset"})


class PressControl:
    """The route about presses."""

    def __init__(self, slack: Slack, sender: EventSender) -> None:
        self._slack = slack
        self._sender = sender
        self._about = About(slack)

    def routes(self) -> list[web.RouteDef]:
        """The routes below `/_sim/slack/`."""
        return [web.post("/_sim/slack/press", guarded(self.press))]

    async def press(self, request: web.Request) -> web.Response:
        data = await json_object(request)
        check_fields(data, {**_WHICH, **_CHOICE, "copies": int}, _PLACE)
        install = self._about.install(data)
        workspace, user = self._about.person(install, data)
        conversation, message = self._message(install, user, data)
        wanted = {name: data[name] for name in _WHICH if name in data}
        if install.app.interactivity_url is None or not wanted:
            raise ControlError("the app has no interactivity_url, or no button is named")
        try:
            element = find(message, wanted)
            payload = self._payload(install, workspace, user, conversation, message, element, data)
        except NotThereError as problem:
            raise ControlError(str(problem)) from problem
        tampering = Tampering(bool(data.get("bad_signature")), int(data.get("timestamp_offset", 0)))
        copies = int(data.get("copies", 1))
        answers = [await self._sender.interact(install.app, payload, tampering) for _ in range(copies)]
        return json_answer({"ok": True, "payload": payload, "answers": answers})

    def _message(self, install: Install, user: User, data: Json) -> tuple[Conversation, Json]:
        conversation = self._slack.conversations.between(install.bot_user_id, user.id)
        message = conversation.messages.get(str(data.get("message"))) if conversation is not None else None
        if conversation is None or message is None or message.get("bot_id") != install.bot_id:
            raise ControlError("the app has sent this person no such message")
        return conversation, as_sent(message)

    def _payload(
        self,
        install: Install,
        workspace: Workspace,
        user: User,
        conversation: Conversation,
        message: Json,
        element: Element,
        data: Json,
    ) -> Json:
        now = self._slack.world.clock.now()
        moment = self._slack.conversations.stamp(now)
        choice = {name: data[name] for name in _CHOICE if name in data}
        action = action_of(element, choice, moment)
        enterprise = workspace.enterprise
        shared = {
            "token": install.app.verification_token,
            "trigger_id": f"{int(now.timestamp())}.{install.app.number}.{moment.replace('.', '')}",
            "team": {"id": workspace.id, "domain": workspace.domain},
            "enterprise": {"id": enterprise.id, "name": enterprise.name} if enterprise is not None else None,
            "is_enterprise_install": install.is_enterprise_install,
            "channel": {"id": conversation.id, "name": "directmessage"},
            "response_url": f"https://hooks.slack.example/actions/{workspace.id}/{moment}",
            "actions": [action],
        }
        if element.callback_id is not None:
            return shared | _legacy(user, message, element, moment)
        return shared | _modern(install, user, conversation, message, element, action)


def _modern(
    install: Install,
    user: User,
    conversation: Conversation,
    message: Json,
    element: Element,
    action: Json,
) -> Json:
    container: Json = {"message_ts": message["ts"], "channel_id": conversation.id, "is_ephemeral": False}
    if element.attachment is None:
        container["type"] = "message"
    else:
        container |= {"type": "message_attachment", "attachment_id": element.attachment, "is_app_unfurl": False}
    return {
        "type": "block_actions",
        "user": {"id": user.id, "username": user.name, "name": user.name, "team_id": user.team_id},
        "api_app_id": install.app.id,
        "container": container,
        "message": message,
        "state": state_of(element, action),
    }


def _legacy(user: User, message: Json, element: Element, moment: str) -> Json:
    return {
        "type": "interactive_message",
        "callback_id": element.callback_id,
        "user": {"id": user.id, "name": user.name},
        "action_ts": moment,
        "message_ts": message["ts"],
        "attachment_id": str(element.attachment),
        "is_app_unfurl": False,
        "original_message": message,
    }
