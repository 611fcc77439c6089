"""What the process that forks Herald processes has done before: Herald was built once, on a database that is gone.

A fork then begins where a server stands that has imported, built and thrown away everything once, and its collector
leaves alone what was there before the fork, which would otherwise be copied for each process.
"""

from __future__ import annotations

import asyncio
import gc
import tempfile
import threading
from pathlib import Path

from aiohttp import web

from app import build_app
from settings import load
from storage.engine import Database


async def _once(folder: Path) -> None:
    storage = {
        "HERALD_STORAGE__URL": f"sqlite:///{folder / 'herald.db'}",
        "HERALD_STORAGE__ENCRYPTION_KEY": "a key of the tests, for nothing but them",
    }
    app = await build_app(load(None, storage))
    runner = web.AppRunner(app)
    await runner.setup()
    await runner.cleanup()
    await Database.open("postgresql://nobody@localhost/nowhere").close()  # loads the driver, connects with nothing


with tempfile.TemporaryDirectory() as _folder:
    asyncio.run(_once(Path(_folder)))
for _thread in threading.enumerate():
    if _thread is not threading.current_thread():
        _thread.join()
gc.collect()
gc.freeze()
