"""`herald serve`: the HTTP server; unless `[server] drain = false` it also sends."""

import asyncio
import gc
import inspect
import logging
import os
import signal
import socket
from pathlib import Path

import click
from aiohttp import web

from console.commands import logs
from console.commands.tools import BuildApp, Tools, Trouble, config_option
from notify.front import FrontRunner
from settings import Settings
from storage.engine import DatabaseInUse
from storage.migrate import NewerSchema
from storage.vault import WrongKey

logger = logging.getLogger("herald.serve")
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


@click.command()
@config_option
@click.option("--log-format", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.pass_obj
def serve(tools: Tools, config: Path | None, log_format: logs.LogFormat) -> None:
    """Run the server.

    The first SIGTERM or SIGINT stops it within server.shutdown_grace_seconds, a second one ends it at once;
    whatever was accepted is in the database and goes on at the next start.
    """
    settings = tools.settings_or_fail(config)
    logs.configure(log_format)
    try:
        asyncio.run(run(settings, tools.build_app))
    except (DatabaseInUse, NewerSchema, WrongKey) as error:
        raise Trouble(str(error)) from error


async def run(settings: Settings, build_app: BuildApp) -> None:
    """Listen, build, serve until a signal, stop."""
    listener = listen(settings.server.host, settings.server.port)
    settings = settings.listening_on(listener.getsockname()[1])
    try:
        built = build_app(settings)
        app = await built if inspect.isawaitable(built) else built
    except BaseException:
        listener.close()
        raise
    for danger in settings.dangers():
        logger.warning("dangerous_option", extra={"option": danger})
    grace = settings.server.shutdown_grace_seconds
    # half of the grace for open HTTP calls, the rest for the drains and the database behind them
    runner = runner_of(app, settings, shutdown_timeout=grace / 2)
    stop = _stop_on_signals()
    try:
        await runner.setup()
        _leave_out_of_collections()
        await web.SockSite(runner, listener).start()
        logger.info("listening", extra={"address": address(listener), "public_url": settings.server.public_url})
        await stop.wait()
    finally:
        await _clean_up(runner, grace)
        listener.close()
    logger.info("stopped")


def runner_of(app: web.Application, settings: Settings, *, shutdown_timeout: float) -> FrontRunner:
    """The runner of an application that faces the world as the settings say."""
    server = settings.server
    return FrontRunner(
        app,
        https=server.public_url.startswith("https:"),
        trusted=server.trusted_proxies,
        shutdown_timeout=shutdown_timeout,
    )


def _leave_out_of_collections() -> None:
    """Everything that was imported lives as long as the process: walking it would stop every call for 0.1 s."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 10, 10)


def listen(host: str, port: int) -> socket.socket:
    """Bind before anything else is opened, so that a taken port costs nothing and port 0 is known in time."""
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=1024)
    except OSError as error:
        raise Trouble(
            f"Cannot listen on {host} port {port} ({error.strerror}): stop the other program or change server.port."
        ) from error


def address(listener: socket.socket) -> str:
    """The address a person can open."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _stop_on_signals() -> asyncio.Event:
    loop, stop = asyncio.get_running_loop(), asyncio.Event()

    def on_signal(name: str) -> None:
        if stop.is_set():
            logger.warning("left_at_once", extra={"signal": name})
            _leave()
        logger.info("stopping", extra={"signal": name})
        stop.set()

    for number in STOP_SIGNALS:
        loop.add_signal_handler(number, on_signal, number.name)
    return stop


async def _clean_up(runner: web.AppRunner, grace: float) -> None:
    try:
        async with asyncio.timeout(grace):
            await runner.cleanup()
    except TimeoutError:
        # tasks that do not end would hold the loop open; what they were doing is recorded as intent already
        logger.warning("stop_took_too_long", extra={"grace_seconds": grace})
        _leave()


def _leave() -> None:
    logging.shutdown()
    os._exit(1)
