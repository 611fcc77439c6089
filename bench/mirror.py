"""The mirror of a big workspace: what listing everybody costs the server that does it."""

from __future__ import annotations

import asyncio
import time

from bench.load import SERVED
from bench.measure import Row, percentile, within
from bench.rig import Herald
from bench.warm import slack

PEOPLE = 100_000
FEW = 10


async def measure_mirror(quick: bool) -> list[Row]:
    """List a workspace as fast as it answers: at the documented pace it is the same work, spread over four minutes."""
    people = 20_000 if quick else PEOPLE
    small, _, _ = await _listed(FEW)
    peak, seconds, late = await _listed(people)
    what = f"mirror of {people} people"
    return [
        within(
            f"{what}: memory beyond that of {FEW}",
            (peak - small) / 1e6,
            150,
            "MB",
            reference=f"peak {peak / 1e6:.0f} MB, {people / seconds:.0f} people/s",
        ),
        within(f"{what}: event loop lateness, p99", percentile(late, 0.99) * 1000, 50, "ms",
               reference=f"worst {max(late) * 1000:.0f} ms"),
    ]  # fmt: skip


async def _listed(people: int) -> tuple[int, float, list[float]]:
    """(most resident memory, seconds, lateness of the event loop) of a server that lists so many people."""
    async with slack(people, 1, cold=True) as world, world.server(program=SERVED) as server:
        begun = time.monotonic()
        await until_mirrored(server)
        seconds = time.monotonic() - begun
        with server.rows() as rows:
            [(stored,)] = rows.execute("SELECT count(*) FROM emails").fetchall()
        assert stored == people
        return server.child.peak_bytes(), seconds, await server.lateness()


async def until_mirrored(server: Herald) -> None:
    """Wait until the first listing has come to its end."""
    with server.rows() as rows:
        async with asyncio.timeout(600):
            while not rows.execute("SELECT 1 FROM mirrors WHERE completed > 0").fetchone():  # noqa: ASYNC110 - another process writes
                await asyncio.sleep(0.05)
