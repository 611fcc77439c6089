"""The composition root: `build_app(settings)` wires every room; it only wires.

Each resource is a `cleanup_ctx` generator with its own key, opened in this order and closed in the opposite one:
the platforms' HTTP session, the database, the drains. So when the server stops, the drains record what is on the wire
while the session and the database are still there.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from aiohttp import web
from sqlalchemy.ext.asyncio import AsyncConnection

import cli
from adapters.base import BotId, Channel, ChannelName, ChoreHandler, Lane, Looker, TenantId
from adapters.slack.chores import SlackIdentify, SlackTeams
from adapters.slack.client import SlackClient, proxy_for
from adapters.slack.config import SlackApp, SlackEndpoints, SlackPace
from adapters.slack.history import SlackLooker
from adapters.slack.inbound import SlackInbound
from adapters.slack.install import SlackInstall, install_handler, redirect_handler
from adapters.slack.installations import SlackInstallations
from adapters.slack.outbound import SlackChannel
from adapters.teams.bots import TeamsBots
from adapters.teams.config import Certificate, TeamsApp, TeamsEndpoints, TeamsPace
from adapters.teams.inbound import TeamsInbound
from adapters.teams.members import MemberChore
from adapters.teams.outbound import TeamsChannel
from console.commands.demo import demo
from console.outline import outline
from console.version import version
from identity.answers import PeopleSource
from identity.email import normal_form
from identity.resolver import Resolver
from identity.slack import SlackPeople
from identity.slack_listing import SlackDirectory, SlackListing
from identity.teams import GraphPeople
from notify import auth, body, health, lookups, starts
from notify.api import Api
from notify.audit import Audit
from notify.chaining import Chaining
from notify.chores import ChoreBook
from notify.delivery import Policy
from notify.disclosures import Disclosures
from notify.dry_run import DryRun
from notify.evidence import EvidenceBook
from notify.housekeeping import keep_house
from notify.jwe import DecryptionKey, Opener
from notify.lookups import LookUpChore, LookUps
from notify.metrics import Metrics
from notify.openapi.document import Server
from notify.openapi.page import description_routes, served
from notify.prospects import Prospects, Side
from notify.quota import Quota
from notify.renderer import Renderer
from notify.requests import Requests
from notify.runner import Runner
from notify.script.limits import Limits
from notify.script.pool import ScriptPool
from notify.strangers import Strangers
from notify.trial import Trial
from notify.workshop import Clocks, Workshop
from settings import ApiClient, Bot, Settings, load
from storage import audit_events, installations, sealed_keys
from storage.engine import Database
from storage.migrate import migrate
from storage.used_tokens import UsedTokens
from storage.vault import Vault

SESSION = web.AppKey("session", aiohttp.ClientSession)
DATABASE = web.AppKey("database", Database)
RUNNER = web.AppKey("runner", Runner)
SCRIPTS = web.AppKey("scripts", ScriptPool)

CLOCKS = Clocks(wall=time.time, monotonic=time.monotonic)
TOTAL_SECONDS, CONNECT_SECONDS, KEEP_ALIVE_SECONDS, DNS_SECONDS = 15.0, 5.0, 30.0, 300


@dataclass(frozen=True, slots=True)
class Platforms:
    """The adapters of every bot, on one HTTP session."""

    teams: TeamsBots
    teams_channel: TeamsChannel
    slack_apps: Mapping[BotId, SlackApp]
    slack_endpoints: SlackEndpoints
    slack: SlackClient
    slack_channel: SlackChannel
    slack_installations: SlackInstallations


async def build_app(settings: Settings) -> web.Application:
    """Everything a server of these settings needs.

    Raises DatabaseInUse, NewerSchema, WrongKey, and the database's errors.
    """
    database = Database.open(settings.storage.url.get_secret_value(), exclusive=settings.server.drain)
    vault = Vault([key.get_secret_value() for key in settings.storage.encryption_key])
    try:
        await migrate(database)
        keys = await _own_keys(settings, database, vault)
        await starts.record(database, keys.audit, outline(settings), version=version(), now=CLOCKS.wall())
    except BaseException:
        await database.close()
        raise
    session = _session()
    platforms = _platforms(settings, database, vault, session)
    runner = Runner(database, owner=secrets.token_hex(8), claim_seconds=settings.server.claim_seconds)
    app = web.Application(client_max_size=settings.limits.other_body_bytes)
    app[SESSION], app[DATABASE], app[RUNNER], app[SCRIPTS] = session, database, runner, _scripts(settings)
    names = {BotId(bot.id): bot.name for bot in settings.bots}
    renderer = Renderer(app[SCRIPTS], key=keys.ids, names=names)
    metrics = Metrics()
    metrics.gauge("herald_lanes_active", "Lanes that this process drains now", lambda: runner.active_lanes)
    chaining = Chaining(database, keys.audit, clock=CLOCKS.wall)
    audit = Audit(database, chaining, clock=CLOCKS.wall, registry=metrics.registry)
    shops = _shops(settings, database, platforms, runner, metrics, renderer)
    app.add_routes(_api(settings, database, runner, shops, renderer, keys).routes())
    app.add_routes(_platform_routes(settings, database, platforms, runner))
    app.add_routes(health.health_routes(_checks(database, audit)))
    app.add_routes(metrics.routes())
    about = Server(settings.server.public_url, settings.limits.identities, settings.limits.body_bytes)
    app.add_routes(description_routes(about, served(app.router)))
    app.cleanup_ctx.extend([_close_session, _close_database, _close_scripts])
    days, key = settings.retention.days, keys.ids
    app.cleanup_ctx.append(_task(lambda: keep_house(database, days=days, key=key, clock=CLOCKS.wall)))
    app.cleanup_ctx.append(_task(audit.run))
    app.cleanup_ctx.append(_draining(settings, platforms, shops))
    return app


def _session() -> aiohttp.ClientSession:
    """The one session for the platforms: no cookies, no proxy taken silently from the environment."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, ttl_dns_cache=DNS_SECONDS, keepalive_timeout=KEEP_ALIVE_SECONDS),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=TOTAL_SECONDS, connect=CONNECT_SECONDS),
        trust_env=False,
    )


def _platforms(settings: Settings, database: Database, vault: Vault, session: aiohttp.ClientSession) -> Platforms:
    places = settings.endpoints.resolved()
    teams = TeamsBots(
        [_teams_app(bot) for bot in settings.bots if bot.msteams is not None],
        TeamsEndpoints(
            entra_login=places.entra_login,
            bot_openid=places.bot_openid,
            bot_issuer=places.bot_issuer,
            multi_tenant_login=places.multi_tenant_login,
            graph=places.graph,
            graph_audience=places.graph_audience,
            service_urls=places.teams_service_urls,
            default_service_url=places.teams_default_service_url,
            allow_http=places.allow_http,
        ),
        session,
    )
    endpoints = SlackEndpoints(places.slack_api, places.slack_authorize, proxy_for(places.slack_api, os.environ))
    client = SlackClient(session, endpoints)
    installed = SlackInstallations(database, vault)
    pace = settings.pace
    return Platforms(
        teams=teams,
        teams_channel=TeamsChannel(
            teams,
            database,
            pace=TeamsPace(
                requests_per_second=pace.teams_requests_per_second,
                in_flight=pace.teams_in_flight,
                graph_batches_per_second=pace.graph_batches_per_second,
                installs_per_second=pace.teams_installs_per_second,
            ),
        ),
        slack_apps={
            BotId(bot.id): _slack_app(bot, settings.server.public_url) for bot in settings.bots if bot.slack is not None
        },
        slack_endpoints=endpoints,
        slack=client,
        slack_channel=SlackChannel(
            client,
            installed,
            SlackPace(
                pace.slack_posts_per_second,
                pace.slack_burst,
                pace.slack_in_flight,
                pace.slack_lookups_per_minute,
                pace.slack_lists_per_minute,
            ),
        ),
        slack_installations=installed,
    )


def _teams_app(bot: Bot) -> TeamsApp:
    given = bot.msteams
    if given is None:
        raise ValueError(f"bot {bot.id} has no Teams side")
    certificate = None
    if given.certificate_file is not None and given.certificate_thumbprint is not None:
        certificate = Certificate(given.certificate_file.read_text(), given.certificate_thumbprint)
    return TeamsApp(
        bot=BotId(bot.id),
        app_id=given.app_id,
        app_type=given.app_type,
        tenant_id=given.tenant_id,
        password=given.app_password.get_secret_value() if given.app_password else None,
        certificate=certificate,
        catalog_app_id=given.catalog_app_id,
        graph=given.graph,
        installs=given.installs,
    )


def _slack_app(bot: Bot, public_url: str) -> SlackApp:
    given = bot.slack
    if given is None:
        raise ValueError(f"bot {bot.id} has no Slack side")
    return SlackApp(
        bot=BotId(bot.id),
        signing_secret=given.signing_secret.get_secret_value(),
        client_id=given.client_id,
        client_secret=given.client_secret.get_secret_value() if given.client_secret else None,
        bot_token=given.bot_token.get_secret_value() if given.bot_token else None,
        scopes=(*given.scopes, *given.optional_scopes),
        redirect_uri=f"{public_url}/slack/{bot.id}/oauth_redirect",
    )


def _shops(
    settings: Settings,
    database: Database,
    platforms: Platforms,
    runner: Runner,
    metrics: Metrics,
    renderer: Renderer,
) -> Mapping[ChannelName, Workshop]:
    """What the drains of each channel work with."""
    listing = SlackListing(platforms.slack, platforms.slack_installations, database)
    handlers: Mapping[str, ChoreHandler] = {
        "teams.member": MemberChore(platforms.teams, database, normal_form=normal_form),
        "slack.identify": SlackIdentify(
            platforms.slack_apps, database, platforms.slack, platforms.slack_installations, runner.heal
        ),
        "slack.teams": SlackTeams(database, platforms.slack, platforms.slack_installations, runner.heal, CLOCKS.wall),
        "slack.directory": SlackDirectory(listing, platforms.slack_installations),
    }
    people: Mapping[ChannelName, tuple[Channel, PeopleSource, Looker | None]] = {
        ChannelName.MSTEAMS: (platforms.teams_channel, GraphPeople(platforms.teams), None),
        ChannelName.SLACK: (
            platforms.slack_channel,
            SlackPeople(platforms.slack, platforms.slack_installations, listing),
            SlackLooker(platforms.slack, platforms.slack_installations),
        ),
    }
    installing = frozenset(BotId(bot.id) for bot in settings.bots if bot.msteams is not None and bot.msteams.installs)
    installers = {ChannelName.MSTEAMS: installing, ChannelName.SLACK: frozenset[BotId]()}
    resolvers = {
        name: Resolver(database, source, clock=CLOCKS.wall, installing=installers[name])
        for name, (_, source, _) in people.items()
    }
    return {
        name: Workshop(
            database=database,
            channel=channel,
            resolver=resolvers[name],
            looker=looker,
            chores=ChoreBook(
                database,
                {**handlers, lookups.KIND: LookUpChore(resolvers[name])},
                clock=CLOCKS.wall,
                awaited=frozenset({lookups.KIND}),
            ),
            renderer=renderer,
            policy=Policy(max_attempts=settings.delivery.max_attempts, settle_seconds=settings.delivery.settle_seconds),
            clocks=CLOCKS,
            wake=runner.wake,
            claim_seconds=settings.server.claim_seconds,
            metrics=metrics,
        )
        for name, (channel, _, looker) in people.items()
    }


def _api(
    settings: Settings,
    database: Database,
    runner: Runner,
    shops: Mapping[ChannelName, Workshop],
    renderer: Renderer,
    keys: OwnKeys,
) -> Api:
    """The public API: who may call, and what a call does."""
    bots = {BotId(bot.id): body.Bot(BotId(bot.id), _channels(bot)) for bot in settings.bots}
    door = auth.Door(
        _clients(settings),
        list(bots),
        UsedTokens(database),
        clock=CLOCKS.wall,
        leeway=settings.limits.token_leeway_seconds,
        opener=Opener(DecryptionKey(key.kid, key.private_key.get_secret_value()) for key in settings.decryption_keys),
    )
    requests = Requests(
        database,
        wake=runner.wake,
        deadline_hours=settings.delivery.deadline_hours,
        idempotency_days=settings.retention.idempotency_days,
        progress=runner.progress,
    )
    return Api(
        requests,
        door,
        bots,
        dry_run=_dry_run(database, runner, shops, Disclosures(database, keys.audit, clock=CLOCKS.wall)),
        trial=Trial(database, renderer),
        quota=Quota(per_minute=settings.limits.requests_per_minute, per_hour=settings.limits.requests_per_hour),
        strangers=Strangers(free=settings.limits.bad_tokens_per_minute),
        ids_key=keys.ids,
        clock=CLOCKS.wall,
        max_body=settings.limits.body_bytes,
        max_other_body=settings.limits.other_body_bytes,
        max_identities=settings.limits.identities,
    )


def _scripts(settings: Settings) -> ScriptPool:
    given = settings.scripts
    limits = Limits(
        cpu_seconds=given.cpu_ms / 1000,
        memory_bytes=given.memory_mb * 1024**2,
        total_seconds=given.request_seconds,
    )
    return ScriptPool(workers=given.processes, limits=limits)


@dataclass(frozen=True, slots=True)
class OwnKeys:
    """The keys of this database: what the ids of people and callers, and the audit record, are made with."""

    ids: bytes = field(repr=False)
    audit: bytes = field(repr=False)


async def _own_keys(settings: Settings, database: Database, vault: Vault) -> OwnKeys:
    """Read the keys; the first start makes them. Raises WrongKey."""
    oldest = settings.storage.encryption_key[-1].get_secret_value()
    async with database.write() as tx:
        now = CLOCKS.wall()
        return OwnKeys(
            ids=await sealed_keys.ids(tx, vault, oldest, now),
            audit=await sealed_keys.audit(tx, vault, now),
        )


def _dry_run(
    database: Database, runner: Runner, shops: Mapping[ChannelName, Workshop], disclosures: Disclosures
) -> DryRun:
    """Rehearsals by the same resolvers and paces as real sends."""
    sides = {name: Side(shop.resolver, shop.channel.pace()) for name, shop in shops.items()}
    look_ups = LookUps(database, wake=runner.wake, clock=CLOCKS.monotonic)
    return DryRun(Prospects(database, sides), look_ups, sides, runner.traffic, disclosures)


def _channels(bot: Bot) -> frozenset[ChannelName]:
    sides = {ChannelName.MSTEAMS: bot.msteams, ChannelName.SLACK: bot.slack}
    return frozenset(name for name, side in sides.items() if side is not None)


def _clients(settings: Settings) -> list[auth.Client]:
    """Every caller: those of one bot, and the admin-scoped ones."""
    scoped = [(client, frozenset({BotId(bot.id)})) for bot in settings.bots for client in bot.clients]
    return [
        auth.Client(
            client_id=client.client_id,
            algorithm=client.algorithm,
            keys=_keys(client),
            scopes=frozenset(client.scopes),
            bots=bots,
            require_exp=client.require_exp,
            enforce_jti=client.enforce_jti,
        )
        for client, bots in [*scoped, *((client, None) for client in settings.clients)]
    ]


def _keys(client: ApiClient) -> tuple[auth.Key, ...]:
    """The plain key first, then those that rotate; a client has secrets or public keys, never both."""
    plain = (client.public_key, None if client.secret is None else client.secret.get_secret_value())
    public = ((key.value, key.until) for key in client.public_keys)
    shared = ((secret.value.get_secret_value(), secret.until) for secret in client.secrets)
    return (
        *(auth.Key(value) for value in plain if value is not None),
        *(auth.Key(value, None if until is None else until.timestamp()) for value, until in (*public, *shared)),
    )


def _platform_routes(
    settings: Settings, database: Database, platforms: Platforms, runner: Runner
) -> list[web.RouteDef]:
    """What Teams and Slack call."""
    evidence = EvidenceBook(clock=CLOCKS.wall)
    most = settings.limits.other_body_bytes
    teams = TeamsInbound(platforms.teams, database, evidence=evidence, wake=runner.heal, most_bytes=most)
    routes = [
        web.post(f"/teams/{bot.id}/messages", teams.handler(BotId(bot.id)))
        for bot in settings.bots
        if bot.msteams is not None
    ]
    if len(routes) == 1:
        routes.append(web.post("/api/messages", routes[0].handler))
    installs = {}
    for bot, slack_app in platforms.slack_apps.items():
        inbound = SlackInbound(
            slack_app,
            database,
            platforms.slack_installations,
            normal_form=normal_form,
            evidence=evidence,
            wake=runner.heal,
            most_bytes=most,
        )
        routes.append(web.post(f"/slack/{bot}/events", inbound.events))
        routes.append(web.post(f"/slack/{bot}/interactivity", inbound.interactivity))
        if slack_app.bot_token is None:
            installs[bot] = SlackInstall(
                slack_app,
                platforms.slack_endpoints,
                database,
                platforms.slack,
                platforms.slack_installations,
                runner.heal,
            )
    routes.append(web.get("/slack/{BotID}/install", install_handler(installs), allow_head=False))
    routes.append(web.get("/slack/{BotID}/oauth_redirect", redirect_handler(installs), allow_head=False))
    return routes


def _checks(database: Database, audit: Audit) -> list[health.Check]:
    async def storage() -> str:
        async with database.read() as tx:
            await installations.active(tx, bot_id="", channel="")
        return "answers"

    return [health.Check("storage", storage), health.Check("audit", audit.finding, critical=False)]


async def _close_session(app: web.Application) -> AsyncIterator[None]:
    yield
    await app[SESSION].close()


async def _close_scripts(app: web.Application) -> AsyncIterator[None]:
    yield
    await app[SCRIPTS].close()


async def _close_database(app: web.Application) -> AsyncIterator[None]:
    yield
    await app[DATABASE].close()


def _task(work: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[web.Application], AsyncIterator[None]]:
    """A background task that lives as long as the server."""

    async def living(_app: web.Application) -> AsyncIterator[None]:
        task = asyncio.create_task(work())
        yield
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    return living


def _draining(
    settings: Settings, platforms: Platforms, shops: Mapping[ChannelName, Workshop]
) -> Callable[[web.Application], AsyncIterator[None]]:
    """The drains, with what the settings say about installations stored first."""

    async def draining(app: web.Application) -> AsyncIterator[None]:
        lanes = await _configured_installations(settings, app[DATABASE], platforms)
        if settings.server.drain:
            await app[RUNNER].start(shops)
            for lane in lanes:
                app[RUNNER].wake(lane)
        yield
        await app[RUNNER].stop(settings.server.shutdown_grace_seconds / 2)

    return draining


async def _configured_installations(settings: Settings, database: Database, platforms: Platforms) -> list[Lane]:
    """A SingleTenant Teams app serves its own tenant; a Slack bot token serves the workspace it belongs to."""
    lanes = []
    for bot in settings.bots:
        if bot.msteams is not None and bot.msteams.app_type != "MultiTenant" and bot.msteams.tenant_id is not None:
            async with database.write() as tx:
                row = installations.Installation(bot.id, "msteams", bot.msteams.tenant_id, installed_at=0.0)
                if await installations.save_new(tx, row, now := CLOCKS.wall()):
                    await _record_configured(tx, row, now)
            lanes.append(Lane(BotId(bot.id), ChannelName.MSTEAMS, TenantId(bot.msteams.tenant_id)))
        if bot.slack is not None and bot.slack.bot_token is not None:
            lanes.append(await platforms.slack_installations.ensure_token_installation(BotId(bot.id)))
    return lanes


async def _record_configured(tx: AsyncConnection, row: installations.Installation, now: float) -> None:
    await audit_events.append(
        tx,
        at=now,
        kind="installed",
        actor=audit_events.OPERATOR,
        subject=row.tenant_id,
        bot_id=row.bot_id,
        channel=row.channel,
        tenant_id=row.tenant_id,
    )


def main() -> None:
    """Read the command line and do what it says."""
    cli.main(build_app, load, demo)


if __name__ == "__main__":
    main()
