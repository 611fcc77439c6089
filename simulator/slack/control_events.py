"""Control of events: send any, tampered with or repeated, and see what became of them."""

from aiohttp import web

from simulator.control import json_answer, json_object
from simulator.slack import events
from simulator.slack.apps import Install
from simulator.slack.call import Slack
from simulator.slack.control_base import About, ControlError, Json, answer_deliveries, guarded
from simulator.slack.events import EventSender, Tampering
from simulator.slack.happenings import Happenings


class EventControl:
    """Routes about events."""

    def __init__(self, slack: Slack, sender: EventSender, happen: Happenings) -> None:
        self._slack = slack
        self._sender = sender
        self._happen = happen
        self._about = About(slack)

    def routes(self) -> list[web.RouteDef]:
        """The routes below `/_sim/slack/`."""
        return [
            web.get("/_sim/slack/events", guarded(self.list_events)),
            web.post("/_sim/slack/events", guarded(self.send_event)),
        ]

    async def list_events(self, request: web.Request) -> web.Response:
        return json_answer({"deliveries": [each.as_json() for each in self._sender.deliveries]})

    async def send_event(self, request: web.Request) -> web.Response:
        data = await json_object(request)
        install = self._about.install(data)
        event = data.get("event") or self._event(install, data)
        if not isinstance(event, dict) or not isinstance(event.get("type"), str):
            raise ControlError("event must be an object with a type")
        workspace = self._about.workspace(data) if "team" in data or install.team_id is not None else None
        if workspace is None and ("user" in data or event["type"] in ("app_home_opened", "message")):
            workspace = self._about.person(install, data)[0]
        tampering = Tampering(bool(data.get("bad_signature")), int(data.get("timestamp_offset", 0)))
        sent = self._happen.send(
            install, event, workspace, tampering, event_id=data.get("event_id"), copies=int(data.get("copies", 1))
        )
        if not sent:
            raise ControlError("the app has no events_url or did not subscribe to this event")
        return await answer_deliveries(sent, data)

    def _event(self, install: Install, data: Json) -> Json:
        """The inner event for a type that a test wants to see."""
        kind, now = data.get("type"), self._slack.world.clock.now().timestamp()
        if kind in ("team_join", "user_change"):
            return events.user_event(kind, self._about.person(install, data)[1], install, now)
        if kind == "app_home_opened":
            channel, user = self._happen.channel(install, *self._about.person(install, data))
            return events.home_opened(user.id, channel, str(data.get("tab", "messages")), now)
        if kind == "message.im":
            workspace, user = self._about.person(install, data)
            channel, user = self._happen.channel(install, workspace, user)
            ts = self._slack.conversations.stamp(self._slack.world.clock.now())
            return events.direct_message(user.id, channel, workspace.id, str(data.get("text", "Hello")), ts)
        if kind == "tokens_revoked":
            return events.tokens_revoked(install, now)
        if kind == "app_uninstalled":
            return events.app_uninstalled(now)
        if kind in ("team_access_granted", "team_access_revoked"):
            return events.team_access(kind, list(data.get("team_ids", install.granted)), now)
        raise ControlError("unknown type; give a whole event instead")
