"""What the control routes of Slack share: reading a call, and finding what it is about."""

from collections.abc import Mapping
from typing import Any

from aiohttp import web

from simulator.control import Handler, json_answer, refuse
from simulator.slack.apps import App, Install
from simulator.slack.call import Slack
from simulator.slack.directory import User, Workspace
from simulator.slack.events import Delivery

Json = dict[str, Any]


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


class About:
    """Finds the app, workspace, install or person that a control call names."""

    def __init__(self, slack: Slack) -> None:
        self._slack = slack

    def app(self, data: Json) -> App:
        """By `app_id` or `client_id`; the default app when neither is given."""
        registry = self._slack.registry
        named = data.get("app_id") or data.get("client_id")
        app = next(iter(registry.apps.values())) if named is None else registry.apps.get(named)
        app = app or registry.by_client.get(str(named))
        if app is None:
            raise ControlError("no such app")
        return app

    def workspace(self, data: Json) -> Workspace:
        """By `team`; the first one when it is not given."""
        workspaces = self._slack.directory.workspaces
        workspace = workspaces.get(str(data["team"])) if data.get("team") else next(iter(workspaces.values()))
        if workspace is None:
            raise ControlError("no such workspace")
        return workspace

    def install(self, data: Json) -> Install:
        """By token, or the living install of an app in a workspace or org (by default in the first)."""
        registry = self._slack.registry
        if "token" in data:
            found = registry.installs.get(data["token"])
        else:
            app, place = self.app(data), data.get("enterprise") or data.get("team")
            installs = registry.of_app(app)
            found = next((each for each in installs if place is None or each.place == place), None)
            found = found or next((each for each in installs if place in each.granted), None)
        if found is None:
            raise ControlError("no such install")
        return found

    def person(self, install: Install, data: Json) -> tuple[Workspace, User]:
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


async def finished(sent: list[Delivery]) -> None:
    """Wait until every delivery was acknowledged or given up."""
    for delivery in sent:
        await delivery.finished.wait()


async def answer_deliveries(sent: list[Delivery], data: Json) -> web.Response:
    """What was sent; with `wait` only once it was acknowledged or given up."""
    if data.get("wait"):
        await finished(sent)
    return json_answer({"ok": True, "deliveries": [each.as_json() for each in sent]})


def guarded(handler: Handler) -> Handler:
    """Answer a wrong control call with 400 and its reason."""

    async def handle(request: web.Request) -> web.StreamResponse:
        try:
            return await handler(request)
        except ControlError as problem:
            return refuse(str(problem))
        except (TypeError, ValueError) as mistake:  # a value of the wrong kind somewhere in the call
            return refuse(f"{type(mistake).__name__}: {mistake}")

    return handle
