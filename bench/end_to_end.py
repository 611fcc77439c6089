"""Accept to stored outcome, at full speed, beside loops that only send."""

from __future__ import annotations

import asyncio
from pathlib import Path

import trustme

from bench.measure import Row, Sample, Sampler, at_least, cpu_ms, in_turn, sample_of, watched
from bench.processes import Child
from bench.rig import Herald, folder
from bench.warm import World, slack, teams

TEAMS_IN_FLIGHT = 64
WORKSPACES = 12
SLACK_IN_FLIGHT = 8


def _delivering(world: World, server: Herald, channel: str, requests: int) -> Sampler:
    """`requests` requests to everyone of each bot, all at once."""

    async def work() -> float:
        calls = [
            server.accept(channel, people, bot=bot)
            for _ in range(requests)
            for bot, people in enumerate(world.people, 1)
        ]
        await asyncio.gather(*calls)
        return await server.until_stored()

    async def sample() -> Sample:
        count = requests * sum(map(len, world.people))
        taken = await watched(server.child, count, work)
        assert not server.refused()
        return taken

    return sample


def _looping(loops: Child, name: str, count: int, in_flight: int, **options: bool) -> Sampler:
    async def sample() -> Sample:
        question = {"loop": name, "count": count, "in_flight": in_flight, "with": options}
        return sample_of(await loops.ask(**question))

    return sample


async def measure_teams(quick: bool) -> list[Row]:
    """Teams at full speed: rate and CPU beside a plain loop and stock botbuilder."""
    rounds, requests = (2, 2) if quick else (3, 4)
    async with teams() as world, world.server() as server, world.reference() as loops:
        # every token that a loop fetches at login comes from 100 ms away: half is the latency of every answer
        await world.platform.post("/faults", {"platform": "entra", "operation": "token", "delay": 0.05})
        taken = await in_turn(
            rounds,
            {
                "herald": _delivering(world, server, "msteams", requests),
                "plain": _looping(loops, "teams_plain", requests * 1000, TEAMS_IN_FLIGHT),
                "stock": _looping(loops, "teams_stock", 150 if quick else 300, TEAMS_IN_FLIGHT, login=False),
                "login": _looping(loops, "teams_stock", 20 if quick else 40, TEAMS_IN_FLIGHT, login=True),
            },
        )
    herald = taken["herald"]
    ours, plain = cpu_ms(herald), cpu_ms(taken["plain"])
    return [
        at_least("Teams, 50 ms, 64 in flight", herald, "plain aiohttp loop", taken["plain"], 0.8),
        at_least("Teams, 50 ms, 64 in flight", herald, "stock botbuilder", taken["stock"], 8),
        at_least("Teams, login 100 ms away", herald, "stock botbuilder", taken["login"], 80),
        Row(
            "CPU per Teams delivery",
            f"{ours:.2f} ms",
            f"plain aiohttp loop: {plain:.2f} ms",
            f"{ours / plain:.2f}",
            "at most 2 times",
            ours <= 2 * plain,
        ),
    ]


async def measure_slack(quick: bool) -> list[Row]:
    """Slack at full speed over 12 workspaces, beside slack_sdk with a shared session and as documented."""
    rounds, people, requests = (2, 100, 1) if quick else (3, 300, 4)
    in_flight = WORKSPACES * SLACK_IN_FLIGHT
    count = WORKSPACES * people * requests
    async with folder() as place:
        authority, certificate = _certificates(place)
        trusted = {"SSL_CERT_FILE": str(authority)}
        async with slack(people, WORKSPACES, certificate) as world:
            async with world.server() as server, world.reference() as loops:
                taken = await in_turn(
                    rounds,
                    {
                        "herald": _delivering(world, server, "slack", requests),
                        "shared": _looping(loops, "slack_shared", count, in_flight),
                        "documented": _looping(loops, "slack_documented", count, in_flight),
                    },
                )
            async with (
                world.server(environment=trusted, endpoints=world.platform.endpoints(secure=True)) as server,
                world.reference(trusted) as loops,
            ):
                tls = await in_turn(
                    rounds,
                    {
                        "herald": _delivering(world, server, "slack", requests),
                        "documented": _looping(loops, "slack_documented", count // 4, in_flight, secure=True),
                    },
                )
    what = "Slack, 50 ms, 12 workspaces with 8 in flight"
    return [
        at_least(what, taken["herald"], "slack_sdk, shared session", taken["shared"], 0.9),
        at_least(what, taken["herald"], "slack_sdk as documented", taken["documented"], 1.3),
        at_least(f"{what}, TLS", tls["herald"], "slack_sdk as documented", tls["documented"], 2),
    ]


def _certificates(place: Path) -> tuple[Path, Path]:
    """An authority and a certificate of this machine's own address."""
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    trusted, own = place / "authority.pem", place / "own.pem"
    authority.cert_pem.write_to_path(str(trusted))
    issued.private_key_and_cert_chain_pem.write_to_path(str(own))
    return trusted, own
