"""The simulator as one aiohttp application on one port."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiohttp import ClientSession, ClientTimeout, DummyCookieJar, web

from simulator.clock import Clock
from simulator.control import control_routes
from simulator.pages.routes import page_routes
from simulator.slack import SlackPlatform
from simulator.teams import TeamsPlatform
from simulator.world import WORLD, SimulatorConfig, World

__all__ = ["WORLD", "Running", "SimulatorConfig", "World", "build_simulator", "running", "start"]

_MAX_BODY = 8 * 1024 * 1024
_SHUTDOWN_SECONDS = 0.5


def build_simulator(config: SimulatorConfig, clock: Clock | None = None) -> web.Application:
    """Wire the world, the two platforms and the control routes."""
    world = World(config, clock)
    world.platforms += [SlackPlatform(world), TeamsPlatform(world)]
    app = web.Application(client_max_size=_MAX_BODY)
    app[WORLD] = world
    app.add_routes(control_routes(world))
    app.add_routes(page_routes(world))
    for platform in world.platforms:
        app.add_routes(platform.control_routes())
        app.add_routes(platform.routes())
    app.cleanup_ctx.append(_background)
    return app


async def _background(app: web.Application) -> AsyncIterator[None]:
    """The session for events to the app, and the end of what still runs when the simulator stops."""
    world = app[WORLD]
    async with ClientSession(cookie_jar=DummyCookieJar(), timeout=ClientTimeout(total=30)) as session:
        world.use_session(session)
        yield
        await world.close()
        world.use_session(None)


@dataclass(frozen=True, slots=True)
class Running:
    """A simulator that listens."""

    world: World
    url: str
    runner: web.AppRunner


async def start(config: SimulatorConfig, clock: Clock | None = None) -> Running:
    """Listen on the configured host and port (0 = any free one). The caller ends it with `runner.cleanup()`."""
    app = build_simulator(config, clock)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=_SHUTDOWN_SECONDS)
    await runner.setup()
    site = web.TCPSite(runner, config.host, config.port)
    await site.start()
    port = runner.addresses[0][1]
    host = f"[{config.host}]" if ":" in config.host else config.host
    world = app[WORLD]
    world.base_url = f"http://{host}:{port}"
    return Running(world, world.base_url, runner)


@asynccontextmanager
async def running(config: SimulatorConfig, clock: Clock | None = None) -> AsyncIterator[Running]:
    """A simulator for the length of a `with` block."""
    simulator = await start(config, clock)
    try:
        yield simulator
    finally:
        await simulator.runner.cleanup()
