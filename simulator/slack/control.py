"""Control of the simulated Slack, under `/_sim/slack/`: apps, installs, people and events."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from aiohttp import web

from simulator.control import Handler, json_answer, json_object, refuse
from simulator.slack import events
from simulator.slack.apps import DEFAULT_SCOPES, KNOWN_SCOPES, App, Install
from simulator.slack.call import Slack
from simulator.slack.directory import User, Workspace
from simulator.slack.events import Delivery, EventSender, Tampering
from simulator.slack.happenings import Happenings
from simulator.slack.methods_auth import access_answer, installer
from simulator.slack.oauth import ConsentRefusedError, approve, deny, read_consent

Json = dict[str, Any]

_APP_FIELDS: Mapping[str, type] = {
    "name": str,
    "client_secret": str,
    "signing_secret": str,
    "verification_token": str,
    "redirect_urls": list,
    "bot_events": list,
    "messages_tab_enabled": bool,
    "org_deploy_enabled": bool,
    "outside_marketplace": bool,
}
_USER_FIELDS: Mapping[str, type | tuple[type, ...]] = {
    "name": str,
    "real_name": str,
    "email": (str, type(None)),
    "deleted": bool,
    "is_bot": bool,
    "is_restricted": bool,
    "is_ultra_restricted": bool,
    "is_stranger": bool,
}


class ControlError(Exception):
    """The control call is wrong; the argument says how."""


def check_fields(data: Json, known: Mapping[str, Any], also: frozenset[str]) -> Json:
    """The known fields of `data`, with the right types; unknown ones are refused."""
    unknown = set(data) - set(known) - also
    if unknown:
        raise ControlError(f"unknown fields: {', '.join(sorted(unknown))}")
    for name, value in data.items():
        if name in known and not isinstance(value, known[name]):
            raise ControlError(f"{name} has the wrong type")
    return {name: value for name, value in data.items() if name in known}


class SlackControl:
    """The control routes."""

    def __init__(self, slack: Slack, sender: EventSender) -> None:
        self._slack = slack
        self._sender = sender
        self._happen = Happenings(slack, sender)

    def routes(self) -> list[web.RouteDef]:
        """All control routes of Slack."""
        return [
            web.post("/_sim/slack/apps", _guarded(self.add_app)),
            web.patch("/_sim/slack/apps/{id}", _guarded(self.change_app)),
            web.post("/_sim/slack/authorize", _guarded(self.authorize)),
            web.post("/_sim/slack/installs", _guarded(self.add_install)),
            web.post("/_sim/slack/uninstall", _guarded(self.uninstall)),
            web.post("/_sim/slack/revoke", _guarded(self.revoke)),
            web.post("/_sim/slack/team_access", _guarded(self.team_access)),
            web.get("/_sim/slack/people", _guarded(self.list_people)),
            web.post("/_sim/slack/people", _guarded(self.add_person)),
            web.patch("/_sim/slack/people/{id}", _guarded(self.change_person)),
            web.post("/_sim/slack/forget_conversation", _guarded(self.forget_conversation)),
            web.get("/_sim/slack/events", _guarded(self.list_events)),
            web.post("/_sim/slack/events", _guarded(self.send_event)),
        ]

    # apps and installs

    async def add_app(self, request: web.Request) -> web.Response:
        data = await json_object(request)
        for name in ("client_id", "client_secret", "signing_secret"):
            if not isinstance(data.get(name), str) or not data[name]:
                raise ControlError(f"{name} is required")
        fields = check_fields(data, _APP_FIELDS, frozenset({"client_id", "app_id", "events_url", "verify"}))
        app = self._slack.registry.register(
            data["client_id"], data["client_secret"], data["signing_secret"], data.get("app_id")
        )
        return await self._change(app, fields, data, 201)

    async def change_app(self, request: web.Request) -> web.Response:
        app = self._slack.registry.apps.get(request.match_info["id"])
        if app is None:
            return refuse("no such app", 404)
        data = await json_object(request)
        return await self._change(app, check_fields(data, _APP_FIELDS, frozenset({"events_url", "verify"})), data, 200)

    async def _change(self, app: App, fields: Json, data: Json, status: int) -> web.Response:
        for name, value in fields.items():
            setattr(app, name, value)
        if "events_url" in data:
            url = data["events_url"]
            wrong = None
            if url is not None and data.get("verify", True):
                wrong = await self._sender.verify_url(app, url)
            if wrong is not None:
                return refuse(f"events_url was not verified: {wrong}", 409)
            app.events_url = url
        return json_answer(app_json(app), status)

    async def authorize(self, request: web.Request) -> web.Response:
        data = await json_object(request)
        url = data.get("authorize_url")
        if not isinstance(url, str):
            raise ControlError("authorize_url is required")
        try:
            consent = read_consent(self._slack, dict(parse_qsl(urlsplit(url).query, keep_blank_values=True)))
            if data.get("deny"):
                return json_answer({"location": deny(consent)})
            default = consent.team or next(iter(self._slack.directory.workspaces))
            place = str(data.get("enterprise") or data.get("team") or default)
            return json_answer({"location": approve(self._slack, consent, place)})
        except ConsentRefusedError as refusal:
            return refuse(str(refusal))

    async def add_install(self, request: web.Request) -> web.Response:
        data = await json_object(request)
        check_fields(
            data, {"scopes": list, "token": str}, frozenset({"app_id", "client_id", "team", "enterprise", "granted"})
        )
        app, directory = self._app(data), self._slack.directory
        org_wide = bool(data.get("enterprise"))
        if org_wide and (directory.enterprise is None or data["enterprise"] not in (True, directory.enterprise.id)):
            raise ControlError("no such enterprise")
        workspace = self._workspace(data)
        granted = list(data.get("granted", directory.workspaces)) if org_wide else [workspace.id]
        scopes = tuple(data.get("scopes", DEFAULT_SCOPES))
        if set(scopes) - KNOWN_SCOPES:
            raise ControlError("unknown scope")
        install = self._slack.registry.install(
            app,
            scopes,
            team_id=None if org_wide else workspace.id,
            enterprise_id=directory.enterprise.id if directory.enterprise is not None else None,
            granted=granted,
            installer_id=installer(workspace),
            token=data.get("token"),
        )
        return json_answer({**access_answer(self._slack, install), "bot_id": install.bot_id}, 201)

    async def uninstall(self, request: web.Request) -> web.Response:
        data = await json_object(request)
        order = data.get("order", ["tokens_revoked", "app_uninstalled"])
        sent = await self._happen.uninstall(self._install(data), order, in_turn=bool(data.get("wait")))
        return await self._deliveries(sent, data)

    async def revoke(self, request: web.Request) -> web.Response:
        data = await json_object(request)
        return await self._deliveries(self._happen.revoke(self._install(data)), data)

    async def team_access(self, request: web.Request) -> web.Response:
        data = await json_object(request)
        install = self._install(data)
        if not install.is_enterprise_install:
            raise ControlError("only an org-wide install has team access")
        grant, revoke = list(data.get("grant", [])), list(data.get("revoke", []))
        if set(grant + revoke) - set(self._slack.directory.workspaces):
            raise ControlError("no such workspace")
        return await self._deliveries(self._happen.team_access(install, grant, revoke), data)

    # people and conversations

    async def list_people(self, request: web.Request) -> web.Response:
        workspace = self._workspace(dict(request.query))
        users = list(workspace.users.values())
        wanted = request.query.get("email")
        if wanted is not None:
            users = [each for each in users if (each.email or "").lower() == wanted.lower()]
        limit = int(request.query.get("limit", "1000"))
        return json_answer({"total": len(users), "people": [user_json(each) for each in users[:limit]]})

    async def add_person(self, request: web.Request) -> web.Response:
        data = await json_object(request)
        fields = check_fields(data, _USER_FIELDS, frozenset({"team", "silent", "wait"}))
        workspace = self._workspace(data)
        number = workspace.next_user_id()
        defaults: Json = {"name": f"person{number[-4:].lower()}", "real_name": "Some Person", "email": None}
        user = User(number, workspace.id, **{**defaults, **fields})
        workspace.put(user)
        return await self._person_answer("team_join", workspace, user, data, 201)

    async def change_person(self, request: web.Request) -> web.Response:
        found = self._slack.directory.find(request.match_info["id"])
        if found is None:
            return refuse("no such person", 404)
        workspace, user = found
        data = await json_object(request)
        fields = check_fields(data, _USER_FIELDS, frozenset({"silent", "wait"}))
        changed = replace(user, **fields, updated=int(self._slack.world.clock.now().timestamp()))
        workspace.put(changed)
        return await self._person_answer("user_change", workspace, changed, data, 200)

    async def _person_answer(
        self, kind: str, workspace: Workspace, user: User, data: Json, status: int
    ) -> web.Response:
        sent = [] if data.get("silent") else self._happen.user(kind, workspace, user)
        if data.get("wait"):
            await _finished(sent)
        return json_answer({**user_json(user), "deliveries": [each.as_json() for each in sent]}, status)

    async def forget_conversation(self, request: web.Request) -> web.Response:
        data = await json_object(request)
        if not self._slack.conversations.forget(str(data.get("channel"))):
            return refuse("no such conversation", 404)
        return json_answer({"ok": True})

    # events

    async def list_events(self, request: web.Request) -> web.Response:
        return json_answer({"deliveries": [each.as_json() for each in self._sender.deliveries]})

    async def send_event(self, request: web.Request) -> web.Response:
        data = await json_object(request)
        install = self._install(data)
        event = data.get("event") or self._event(install, data)
        if not isinstance(event, dict) or not isinstance(event.get("type"), str):
            raise ControlError("event must be an object with a type")
        workspace = self._workspace(data) if "team" in data or install.team_id is not None else None
        if workspace is None and ("user" in data or event["type"] in ("app_home_opened", "message")):
            workspace = self._person(install, data)[0]
        tampering = Tampering(bool(data.get("bad_signature")), int(data.get("timestamp_offset", 0)))
        sent = self._happen.send(
            install, event, workspace, tampering, event_id=data.get("event_id"), copies=int(data.get("copies", 1))
        )
        if not sent:
            raise ControlError("the app has no events_url or did not subscribe to this event")
        return await self._deliveries(sent, data)

    def _event(self, install: Install, data: Json) -> Json:
        """The inner event for a type that a test wants to see."""
        kind, now = data.get("type"), self._slack.world.clock.now().timestamp()
        if kind in ("team_join", "user_change"):
            return events.user_event(kind, self._person(install, data)[1], install, now)
        if kind == "app_home_opened":
            channel, user = self._happen.channel(install, *self._person(install, data))
            return events.home_opened(user.id, channel, str(data.get("tab", "messages")), now)
        if kind == "message.im":
            workspace, user = self._person(install, data)
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

    async def _deliveries(self, sent: list[Delivery], data: Json) -> web.Response:
        if data.get("wait"):
            await _finished(sent)
        return json_answer({"ok": True, "deliveries": [each.as_json() for each in sent]})

    # what a call is about

    def _app(self, data: Json) -> App:
        registry = self._slack.registry
        named = data.get("app_id") or data.get("client_id")
        app = next(iter(registry.apps.values())) if named is None else registry.apps.get(named)
        app = app or registry.by_client.get(str(named))
        if app is None:
            raise ControlError("no such app")
        return app

    def _workspace(self, data: Json) -> Workspace:
        workspaces = self._slack.directory.workspaces
        workspace = workspaces.get(str(data["team"])) if data.get("team") else next(iter(workspaces.values()))
        if workspace is None:
            raise ControlError("no such workspace")
        return workspace

    def _install(self, data: Json) -> Install:
        """By token, or the living install of an app in a workspace or org (by default in the first)."""
        registry = self._slack.registry
        if "token" in data:
            found = registry.installs.get(data["token"])
        else:
            app, place = self._app(data), data.get("enterprise") or data.get("team")
            installs = registry.of_app(app)
            found = next((each for each in installs if place is None or each.place == place), None)
            found = found or next((each for each in installs if place in each.granted), None)
        if found is None:
            raise ControlError("no such install")
        return found

    def _person(self, install: Install, data: Json) -> tuple[Workspace, User]:
        """By id or e-mail; the first person of the workspace by default."""
        named = data.get("user")
        if named is None:
            workspace = self._slack.directory.workspaces[install.granted[0]]
            return workspace, next(iter(workspace.users.values()))
        for team_id in install.granted:
            workspace = self._slack.directory.workspaces[team_id]
            user = workspace.users.get(named) or workspace.by_email(named)
            if user is not None:
                return workspace, user
        raise ControlError("no such person")


def app_json(app: App) -> Json:
    """An app as the control API shows it."""
    return {
        "app_id": app.id,
        "client_id": app.client_id,
        "client_secret": app.client_secret,
        "signing_secret": app.signing_secret,
        "events_url": app.events_url,
        "redirect_urls": app.redirect_urls,
        "bot_events": app.bot_events,
        "messages_tab_enabled": app.messages_tab_enabled,
        "org_deploy_enabled": app.org_deploy_enabled,
        "outside_marketplace": app.outside_marketplace,
    }


def user_json(user: User) -> Json:
    """A person as the control API shows them."""
    return {
        "id": user.id,
        "team_id": user.team_id,
        "name": user.name,
        "real_name": user.real_name,
        "email": user.email,
        "deleted": user.deleted,
        "is_bot": user.is_bot,
        "is_restricted": user.is_restricted,
        "is_ultra_restricted": user.is_ultra_restricted,
        "is_stranger": user.is_stranger,
    }


async def _finished(sent: list[Delivery]) -> None:
    for delivery in sent:
        await delivery.finished.wait()


def _guarded(handler: Handler) -> Handler:
    """Answer a wrong control call with 400 and its reason."""

    async def guarded(request: web.Request) -> web.StreamResponse:
        try:
            return await handler(request)
        except ControlError as problem:
            return refuse(str(problem))

    return guarded
