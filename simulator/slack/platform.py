"""The simulated Slack as one platform of the simulator."""

from collections.abc import Sequence
from typing import Any

from aiohttp import web

from simulator.slack import limits
from simulator.slack.api import WebApi
from simulator.slack.apps import (
    DEFAULT_APP_ID,
    DEFAULT_BOT_TOKEN,
    DEFAULT_CLIENT_ID,
    DEFAULT_CLIENT_SECRET,
    DEFAULT_SCOPES,
    DEFAULT_SIGNING_SECRET,
    Install,
)
from simulator.slack.call import Slack
from simulator.slack.control import slack_control_routes
from simulator.slack.control_apps import app_json
from simulator.slack.directory import Directory, user_id
from simulator.slack.events import EventSender
from simulator.slack.oauth import ConsentPage
from simulator.slack.throttle import Throttle
from simulator.world import World


class SlackPlatform:
    """Slack: Web API, consent page, events and their control."""

    name = "slack"

    def __init__(self, world: World) -> None:
        world.settings.declare("slack_limit_required", False)
        world.settings.declare("slack_users_page", float(limits.USERS_PAGE))
        self._slack = Slack(world, Directory(world))
        self._throttle = Throttle(world.settings)
        self._sender = EventSender(world)
        self._api = WebApi(self._slack, self._throttle)
        self._page = ConsentPage(self._slack)
        self._add_default_app()

    def _add_default_app(self) -> None:
        """An app with fixed credentials, installed in the first workspace, for use by hand."""
        registry = self._slack.registry
        app = registry.register(DEFAULT_CLIENT_ID, DEFAULT_CLIENT_SECRET, DEFAULT_SIGNING_SECRET, DEFAULT_APP_ID)
        workspace = next(iter(self._slack.directory.workspaces.values()), None)
        if workspace is None:
            return
        enterprise = workspace.enterprise
        registry.install(
            app,
            DEFAULT_SCOPES,
            team_id=workspace.id,
            enterprise_id=enterprise.id if enterprise is not None else None,
            granted=[workspace.id],
            installer_id=user_id(workspace, 0),
            token=DEFAULT_BOT_TOKEN,
        )

    def routes(self) -> Sequence[web.RouteDef]:
        """`/api/…` and `/oauth/v2/authorize`."""
        return [*self._api.routes(), *self._page.routes()]

    def control_routes(self) -> Sequence[web.RouteDef]:
        """`/_sim/slack/…`."""
        return slack_control_routes(self._slack, self._sender)

    def state(self) -> dict[str, Any]:
        """Workspaces, apps and installs."""
        directory, registry = self._slack.directory, self._slack.registry
        enterprise = directory.enterprise
        return {
            "enterprise": {"id": enterprise.id, "name": enterprise.name} if enterprise is not None else None,
            "workspaces": [
                {"id": each.id, "name": each.name, "email_domain": self._slack.world.domain_of(each.index)}
                for each in directory.workspaces.values()
            ],
            "apps": [app_json(each) for each in registry.apps.values()],
            "installs": [_install_json(each) for each in registry.installs.values()],
        }

    def reset(self) -> None:
        """Forget limits, messages and deliveries; people, apps, installs and conversation ids stay."""
        self._throttle.clear()
        self._slack.conversations.clear_messages()
        self._sender.deliveries.clear()

    async def close(self) -> None:
        """Stop delivering events."""
        await self._sender.close()


def _install_json(install: Install) -> dict[str, Any]:
    return {
        "app_id": install.app.id,
        "team_id": install.team_id,
        "enterprise_id": install.enterprise_id,
        "granted": install.granted,
        "token": install.token,
        "scopes": install.scopes,
        "bot_user_id": install.bot_user_id,
        "bot_id": install.bot_id,
        "state": install.state,
    }
