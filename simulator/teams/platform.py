"""The Teams half as one platform of the simulator."""

from collections.abc import Sequence
from typing import Any

from aiohttp import web

from simulator.teams.apps import App
from simulator.teams.connector import Connector
from simulator.teams.control import TeamsControl
from simulator.teams.entra import Entra
from simulator.teams.events import Events, change_install
from simulator.teams.graph import Graph
from simulator.teams.limits import MESSAGE_BYTES_UTF16
from simulator.teams.people import Directory, TeamsPerson, Tenant, tenant_id
from simulator.teams.state import MESSAGE_BYTES, SPLIT_MESSAGES, TOKEN_LIFETIME, build_state
from simulator.world import World

ENTRA_TOKEN_SECONDS = 3599


class TeamsPlatform:
    """Connector, Entra and Graph over one directory of tenants and people."""

    name = "teams"

    def __init__(self, world: World) -> None:
        world.settings.declare(TOKEN_LIFETIME, ENTRA_TOKEN_SECONDS)
        world.settings.declare(SPLIT_MESSAGES, False)
        world.settings.declare(MESSAGE_BYTES, MESSAGE_BYTES_UTF16)
        tenants = [
            Tenant(index, tenant_id(index), world.domain_of(index), world.people_of(index))
            for index in range(max(1, world.config.tenants))
        ]
        self._state = build_state(world, Directory(tenants))
        self._events = Events(self._state)
        self._entra = Entra(self._state)
        self._connector = Connector(self._state)
        self._graph = Graph(self._state, self._install)
        self._control = TeamsControl(self._state, self._events)

    def routes(self) -> Sequence[web.RouteDef]:
        """Connector, Graph and Entra."""
        return [*self._connector.routes(), *self._graph.routes(), *self._entra.routes()]

    def control_routes(self) -> Sequence[web.RouteDef]:
        """Everything below `/_sim/teams/`."""
        return self._control.routes()

    def state(self) -> dict[str, Any]:
        """Tenants, apps with their (public) secrets, and how many installs there are."""
        state = self._state
        installs = sum(conversation.installed for conversation in state.conversations.all())
        return {
            "tenants": [
                {"id": tenant.id, "domain": tenant.domain, "people": len(tenant.people)}
                for tenant in state.directory.tenants
            ],
            "apps": [app.as_json() for app in state.apps.all()],
            "installs": installs,
        }

    def reset(self) -> None:
        """Forget what the limits counted."""
        self._state.limiter.clear()

    async def close(self) -> None:
        """End what is still being posted to bots."""
        await self._events.close()

    def _install(self, app: App, person: TeamsPerson, action: str) -> None:
        """An install through Graph: it is true at once, and the bot hears of it a little later."""
        conversation = self._state.conversation_of(app, person)
        change_install(conversation, action)
        activities = self._events.templates.lifecycle(app, conversation, action)
        self._events.in_background(self._events.tell(app, activities))
