"""Accepting while the server is idle and while it sends, the event loop's lateness, and a long queue."""

from __future__ import annotations

import asyncio
import sqlite3
import tempfile
import time
from pathlib import Path
from statistics import median

from bench.measure import Row, percentile, within
from bench.rig import UNPACED, Herald
from bench.warm import World, teams

PENDING = 100_000
SERVED = ("-m", "bench.served", "serve")


async def measure_accept(quick: bool) -> list[Row]:
    """1000 identities in one call, idle and during a drain at full speed."""
    idle_calls, busy_calls = (15, 15) if quick else (50, 40)
    async with teams() as world:
        idle: list[float] = []
        busy: list[float] = []
        plain: list[float] = []
        async with world.server(pace={**UNPACED, "teams_requests_per_second": 0.1}) as server:
            rows = _rows(server)
            for _ in range(idle_calls):
                idle.append(await _accept(server, world))
                plain.append(_insert(rows))
        async with world.server() as server:
            for _ in range(busy_calls):
                busy.append(await _accept(server, world))
                await asyncio.sleep(0.1)
            sending = server.child.cpu_seconds()
    assert sending > 0
    reference = f"sqlite3: {median(plain) * 1000:.0f} ms"
    return [
        row
        for name, taken in (("idle", idle), ("during a drain", busy))
        for row in (
            within(f"accept 1000, {name}: median", median(taken) * 1000, 40, "ms", reference=reference),
            within(f"accept 1000, {name}: p99", percentile(taken, 0.99) * 1000, 150, "ms"),
        )
    ]


async def _accept(server: Herald, world: World) -> float:
    started = time.perf_counter()
    await server.accept("msteams", world.people[0])
    return time.perf_counter() - started


def _rows(server: Herald) -> tuple[list[str], list[tuple[object, ...]]]:
    """The schema of deliveries with its indexes, and 1000 rows of the warm-up."""
    with server.rows() as rows:
        sql = "SELECT sql FROM sqlite_master WHERE tbl_name = 'deliveries' AND sql IS NOT NULL ORDER BY type DESC"
        schema = [str(row[0]) for row in rows.execute(sql)]
        fields = [row[1] for row in rows.execute("PRAGMA table_info(deliveries)")]
        empty = {
            "user_id",
            "channel_id",
            "conversation_id",
            "service_url",
            "final_at",
            "trace",
            "store_id",
            "message_id",
        }
        columns = ", ".join("NULL" if name in empty else name for name in fields)
        return schema, rows.execute(f"SELECT {columns} FROM deliveries LIMIT 1000").fetchall()  # noqa: S608


def _insert(given: tuple[list[str], list[tuple[object, ...]]]) -> float:
    """The same rows by plain sqlite3, on the same disk, as durable."""
    schema, rows = given
    with tempfile.TemporaryDirectory(prefix="herald-bench-") as place:
        connection = sqlite3.connect(Path(place) / "plain.db", isolation_level=None)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        for statement in schema:
            connection.execute(statement)
        marks = ", ".join("?" * len(rows[0]))
        started = time.perf_counter()
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany(f"INSERT INTO deliveries VALUES ({marks})", rows)  # noqa: S608
        connection.execute("COMMIT")
        taken = time.perf_counter() - started
        connection.close()
        return taken


async def measure_lateness(quick: bool) -> list[Row]:
    """How late the event loop is while everything that can be on the wire is."""
    requests = 3 if quick else 8
    async with teams() as world, world.server(program=SERVED) as server:
        await server.lateness()
        await asyncio.gather(*(server.accept("msteams", world.people[0]) for _ in range(requests)))
        await server.until_stored()
        late = await server.lateness()
    what = "event loop lateness in a drain at full speed"
    return [
        within(
            f"{what}: p99", percentile(late, 0.99) * 1000, 50, "ms", reference=f"median {median(late) * 1000:.1f} ms"
        )
    ]


async def measure_backlog(quick: bool) -> list[Row]:
    """100 000 pending deliveries: memory, the status call, and a start that goes on with them."""
    requests = 20 if quick else PENDING // 1000
    async with teams() as world:
        async with world.server(pace={}) as server:
            ids = [await server.accept("msteams", world.people[0]) for _ in range(requests)]
            times = []
            for request in (ids[0], ids[-1]) * 10:
                started = time.perf_counter()
                await server.status(request)
                times.append(time.perf_counter() - started)
            memory, peak = server.child.resident_bytes(), server.child.peak_bytes()
            await server.child.kill()
        await world.platform.post("/reset", {})
        begun = time.monotonic()
        async with world.server(pace={}):
            first = await world.platform.first_send()
    what = f"{requests * 1000} pending"
    return [
        within(f"{what}: memory", memory / 1e6, 220, "MB", reference=f"peak {peak / 1e6:.0f} MB"),
        within(f"{what}: status call, median", median(times) * 1000, 50, "ms"),
        within(f"{what}: start to first send", first - begun, 3, "s"),
    ]
