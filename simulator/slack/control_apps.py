"""Control of apps and installs: register, authorize, install, uninstall, revoke."""

from collections.abc import Mapping
from urllib.parse import parse_qsl, urlsplit

from aiohttp import web

from simulator.control import json_answer, json_object, refuse
from simulator.slack.apps import DEFAULT_SCOPES, KNOWN_SCOPES, App
from simulator.slack.call import Slack
from simulator.slack.control_base import About, ControlError, Json, answer_deliveries, check_fields, guarded
from simulator.slack.events import EventSender
from simulator.slack.happenings import Happenings
from simulator.slack.methods_auth import access_answer, installer
from simulator.slack.oauth import ConsentRefusedError, approve, deny, read_consent

_APP_FIELDS: Mapping[str, type | tuple[type, ...]] = {
    "name": str,
    "client_secret": str,
    "signing_secret": str,
    "verification_token": str,
    "interactivity_url": (str, type(None)),
    "redirect_urls": list,
    "bot_events": list,
    "messages_tab_enabled": bool,
    "org_deploy_enabled": bool,
    "outside_marketplace": bool,
}


class AppControl:
    """Routes about apps and installs."""

    def __init__(self, slack: Slack, sender: EventSender, happen: Happenings) -> None:
        self._slack = slack
        self._sender = sender
        self._happen = happen
        self._about = About(slack)

    def routes(self) -> list[web.RouteDef]:
        """The routes below `/_sim/slack/`."""
        return [
            web.post("/_sim/slack/apps", guarded(self.add_app)),
            web.patch("/_sim/slack/apps/{id}", guarded(self.change_app)),
            web.post("/_sim/slack/authorize", guarded(self.authorize)),
            web.post("/_sim/slack/installs", guarded(self.add_install)),
            web.post("/_sim/slack/uninstall", guarded(self.uninstall)),
            web.post("/_sim/slack/revoke", guarded(self.revoke)),
            web.post("/_sim/slack/team_access", guarded(self.team_access)),
        ]

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
        app, directory = self._about.app(data), self._slack.directory
        org_wide = bool(data.get("enterprise"))
        if org_wide and (directory.enterprise is None or data["enterprise"] not in (True, directory.enterprise.id)):
            raise ControlError("no such enterprise")
        workspace = self._about.workspace(data)
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
        sent = await self._happen.uninstall(self._about.install(data), order, in_turn=bool(data.get("wait")))
        return await answer_deliveries(sent, data)

    async def revoke(self, request: web.Request) -> web.Response:
        data = await json_object(request)
        return await answer_deliveries(self._happen.revoke(self._about.install(data)), data)

    async def team_access(self, request: web.Request) -> web.Response:
        data = await json_object(request)
        install = self._about.install(data)
        if not install.is_enterprise_install:
            raise ControlError("only an org-wide install has team access")
        grant, revoke = list(data.get("grant", [])), list(data.get("revoke", []))
        if set(grant + revoke) - set(self._slack.directory.workspaces):
            raise ControlError("no such workspace")
        return await answer_deliveries(self._happen.team_access(install, grant, revoke), data)


def app_json(app: App) -> Json:
    """An app as the control API shows it."""
    return {
        "app_id": app.id,
        "client_id": app.client_id,
        "client_secret": app.client_secret,
        "signing_secret": app.signing_secret,
        "events_url": app.events_url,
        "interactivity_url": app.interactivity_url,
        "redirect_urls": app.redirect_urls,
        "bot_events": app.bot_events,
        "messages_tab_enabled": app.messages_tab_enabled,
        "org_deploy_enabled": app.org_deploy_enabled,
        "outside_marketplace": app.outside_marketplace,
    }
