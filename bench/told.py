"""Slack tells of many people at once: signed events, sent as fast as they are answered by a process of its own."""

from __future__ import annotations

import json
from typing import Any

from bench.measure import Row
from bench.mirror import until_mirrored
from bench.processes import running
from bench.rig import Herald, bot_id
from bench.warm import World, slack
from simulator.slack.apps import DEFAULT_SIGNING_SECRET

EVENTS = 5000
ROUNDS = 3
LEAST = 2000


async def measure_told(quick: bool) -> list[Row]:
    """5000 user_change events, each about a name that nobody has heard of; the best of three."""
    events = 1000 if quick else EVENTS
    async with slack(1000, 1, cold=True) as world, world.server() as server:
        await until_mirrored(server)
        rates = [await _burst(world, server, number, events) for number in range(ROUNDS)]
        lost = _lost(server, events)
    what = f"burst of {events} user_change events"
    shown = ", ".join(f"{rate:.0f}" for rate in rates)
    return [
        Row(what, f"{max(rates):.0f}/s", f"rounds: {shown}", "", f"at least {LEAST}/s", max(rates) >= LEAST),
        Row(f"{what}: lost", str(lost), "", "", "none", lost == 0),
    ]


async def _burst(world: World, server: Herald, number: int, events: int) -> float:
    """Events a second from the first byte to the last answer, all of which must be 200."""
    place = next(iter(world.tokens))
    people = (await world.platform.get("/slack/people", team=place, limit=1000))["people"]
    plan: dict[str, Any] = {
        "url": f"{server.url}/slack/{bot_id(1)}/events",
        "secret": f"{DEFAULT_SIGNING_SECRET}-0",
        "round": number,
        "events": events,
        "people": people,
    }
    path = world.folder / "burst.json"
    path.write_text(json.dumps(plan))
    async with running(["-m", "bench.burst", str(path)], lambda line: bool(line.get("ready"))) as (child, _):
        said = await child.ask(go=True)
    assert said["refused"] == 0, said
    return events / float(said["seconds"])


def _lost(server: Herald, events: int) -> int:
    """How many events left no trace: neither their id nor, for the last about each person, the name."""
    with server.rows() as rows:
        [(ids,)] = rows.execute("SELECT count(*) FROM inbox").fetchall()
        [(names,)] = rows.execute(
            "SELECT count(*) FROM people WHERE name LIKE ?", (f"Round {ROUNDS - 1} %",)
        ).fetchall()
    return ROUNDS * events - int(ids) + 1000 - int(names)
