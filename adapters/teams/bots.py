"""Everything one process keeps for its Teams apps: allow-list, key set, token sources and connector pools."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

import aiohttp

from adapters.base import BotId, TenantId
from adapters.teams.auth import ConnectorTokens
from adapters.teams.config import TeamsApp, TeamsEndpoints
from adapters.teams.connector import BotAuth, ConnectorPool, NoSecret, SessionSender
from adapters.teams.keys import KeySet
from adapters.teams.service_urls import ServiceUrls
from adapters.teams.tokens import TokenSource, grants_for

MAX_GRAPH_SOURCES: Final = 1024


@dataclass(frozen=True, slots=True)
class TeamsBot:
    """One app, ready to hear and to speak."""

    app: TeamsApp
    tokens: TokenSource
    pool: ConnectorPool
    auth: BotAuth
    inbound: ConnectorTokens


class TeamsBots:
    """The process's Teams apps. Build it once, inside the running loop; it opens nothing by itself."""

    def __init__(
        self,
        apps: Iterable[TeamsApp],
        endpoints: TeamsEndpoints,
        session: aiohttp.ClientSession,
        *,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.endpoints = endpoints
        self.session = session
        self.service_urls = ServiceUrls(endpoints.service_urls, allow_http=endpoints.allow_http)
        self.keys = KeySet(session, endpoints.bot_openid, allow_http=endpoints.allow_http, clock=clock)
        self._clock = clock
        self._now = now
        self._bots = {app.bot: self._make(app) for app in apps}
        self._graph: OrderedDict[tuple[BotId, str], TokenSource] = OrderedDict()

    def __iter__(self) -> Iterator[BotId]:
        return iter(self._bots)

    def get(self, bot: BotId) -> TeamsBot:
        """The bot's Teams side. Raises KeyError if it has none."""
        return self._bots[bot]

    def graph_tokens(self, bot: BotId, tenant: TenantId) -> TokenSource:
        """Tokens for Graph in a customer's tenant; a managed identity only ever speaks for its own."""
        key = (bot, str(tenant).lower())
        if key not in self._graph:
            self._graph[key] = self._source(self._bots[bot].app, str(tenant), self.endpoints.graph_audience)
            if len(self._graph) > MAX_GRAPH_SOURCES:
                self._graph.popitem(last=False)
        return self._graph[key]

    def _source(self, app: TeamsApp, tenant: str, audience: str) -> TokenSource:
        grants = grants_for(app, tenant, audience, login=self.endpoints.entra_login, session=self.session)
        return TokenSource(grants, clock=self._clock)

    def _make(self, app: TeamsApp) -> TeamsBot:
        endpoints = self.endpoints
        login_tenant = app.home_tenant or endpoints.multi_tenant_login
        tokens = self._source(app, login_tenant, endpoints.bot_issuer)
        credentials = NoSecret(app.app_id, oauth_scope=endpoints.bot_issuer)
        pool = ConnectorPool(credentials, tokens, SessionSender(self.session), self.service_urls)
        inbound = ConnectorTokens(
            self.keys, app_id=app.app_id, issuer=endpoints.bot_issuer, service_urls=self.service_urls, now=self._now
        )
        return TeamsBot(app, tokens, pool, BotAuth(app, endpoints, pool), inbound)
