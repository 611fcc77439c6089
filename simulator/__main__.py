"""`python -m simulator`: the local platforms alone. One JSON line says when and where they listen."""

import argparse
import asyncio
import contextlib
import gc
import json
import signal
import sys

from simulator.app import start
from simulator.control import endpoints
from simulator.people import Shares
from simulator.world import SimulatorConfig


def main(arguments: list[str] | None = None) -> None:
    """Run until SIGTERM or SIGINT."""
    options = _parser().parse_args(arguments)
    config = SimulatorConfig(
        seed=options.seed,
        people=options.people,
        tenants=options.tenants,
        workspaces=options.workspaces,
        enterprise=options.enterprise,
        limits=not options.no_limits,
        latency=options.latency,
        host=options.host,
        port=options.port,
        shares=Shares(guests=0, disabled=0, appless=0) if options.plain_people else Shares(),
    )
    asyncio.run(_run(config, quiet=options.quiet))


async def _run(config: SimulatorConfig, *, quiet: bool) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        with contextlib.suppress(NotImplementedError):  # event loops of Windows have no signal handlers
            loop.add_signal_handler(number, stop.set)
    simulator = await start(config)
    gc.freeze()  # tens of thousands of people live for ever: the collector need not walk them
    sys.stdout.write(json.dumps({"ready": True, **endpoints(simulator.url)}) + "\n")
    sys.stdout.flush()
    if not quiet:
        sys.stderr.write(f"Simulator for Slack and Teams: {simulator.url}/_sim\n")
    try:
        await stop.wait()
    finally:
        await simulator.runner.cleanup()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m simulator", description="Local Slack and Teams.")
    parser.add_argument("--port", type=int, default=3999, help="0 takes any free port")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--people", type=int, default=200, help="people in each tenant and workspace")
    parser.add_argument("--plain-people", action="store_true", help="no guests, disabled or app-less people")
    parser.add_argument("--tenants", type=int, default=1, help="Teams tenants")
    parser.add_argument("--workspaces", type=int, default=1, help="Slack workspaces")
    parser.add_argument("--enterprise", action="store_true", help="the workspaces form one Enterprise org")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--no-limits", action="store_true", help="do not enforce the documented rate limits")
    parser.add_argument("--latency", type=float, default=0.0, help="seconds before each answer")
    parser.add_argument("--quiet", action="store_true", help="only the JSON line")
    return parser


if __name__ == "__main__":
    main()
