"""The simulator as a process of its own, with a second door that speaks TLS: `python -m bench.platform '{…}'`."""

from __future__ import annotations

import asyncio
import gc
import json
import ssl
import sys

from aiohttp import web

from simulator.app import start
from simulator.people import PLAIN
from simulator.world import SimulatorConfig


async def _run(config: dict[str, object], certificate: str | None) -> None:
    simulator = await start(SimulatorConfig(shares=PLAIN, **config))  # type: ignore[arg-type]  # checked by its author
    secure = None
    if certificate is not None:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate)
        site = web.TCPSite(simulator.runner, "127.0.0.1", 0, ssl_context=context)
        await site.start()
        secure = f"https://127.0.0.1:{simulator.runner.addresses[-1][1]}"
    gc.freeze()  # people live for ever: the collector need not walk them
    print(json.dumps({"ready": True, "url": simulator.url, "secure_url": secure}), flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    options = json.loads(sys.argv[1])
    tls = options.pop("certificate", None)
    asyncio.run(_run(options, tls))
