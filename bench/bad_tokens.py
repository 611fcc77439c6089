"""Strangers try tokens, two hundred a second, while backends go on calling: what the backends notice of it."""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from statistics import median

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from bench.measure import Row, percentile, within
from bench.processes import Child, Json, running
from bench.rig import PLAIN, Herald, bot_id, client_id, secret
from bench.warm import World, teams
from notify.jwe import DecryptionKey, encrypt

BAD_PER_SECOND = 200
GOOD_PER_SECOND = 20
MOST_MS = 100


@dataclass(frozen=True, slots=True)
class Calls:
    """The good calls of one stretch: how long each took, and the server's processor time."""

    seconds: list[float]
    refused: int
    cpu: float
    length: float

    def p99(self) -> float:
        return percentile(self.seconds, 0.99) * 1000

    def note(self) -> str:
        return f"median {median(self.seconds) * 1000:.1f} ms, {self.cpu / self.length * 100:.0f} % of a core"


async def measure_bad_tokens(quick: bool) -> list[Row]:
    """Good calls alone, then beside the flood, every other one with an encrypted token."""
    length = 10.0 if quick else 30.0
    async with teams(50) as world:
        key = DecryptionKey("k-bench", _pem())
        (world.folder / "key.pem").write_text(key.private_key)
        keys = [{"kid": key.kid, "private_key": "file:key.pem"}]
        async with world.server(decryption_keys=keys) as server:
            good = [_good(), encrypt(_good(), key)]
            await _calls(server, world, good, 2.0)
            alone = await _calls(server, world, good, length)
            async with running(["-m", "bench.flood", str(_plan(world, server, key))], _is_ready) as (flood, _):
                answers, beside = await _both(flood, server, world, good, length)
    what = f"{GOOD_PER_SECOND} good calls a second"
    told = ", ".join(f"{count} × {status}" for status, count in sorted(answers.items()))
    refused = alone.refused + beside.refused
    wrong = sum(count for status, count in answers.items() if status not in ("401", "429"))
    return [
        within(f"{what}, alone: p99", alone.p99(), MOST_MS, "ms", reference=alone.note()),
        within(f"{what}, {BAD_PER_SECOND} bad ones beside: p99", beside.p99(), MOST_MS, "ms", reference=beside.note()),
        Row(f"{what}: refused", str(refused), "", "", "none", refused == 0),
        Row("bad tokens that were not refused", str(wrong), told, "", "none", wrong == 0),
    ]


async def _both(flood: Child, server: Herald, world: World, good: Sequence[str], length: float) -> tuple[Json, Calls]:
    """The flood begins first and goes on until after the last good call."""
    asked = asyncio.create_task(flood.ask(seconds=length + 3))
    await asyncio.sleep(2)
    calls = await _calls(server, world, good, length)
    return await asked, calls


async def _calls(server: Herald, world: World, tokens: Sequence[str], length: float) -> Calls:
    """Sends to one person each, at an even pace."""
    count = int(GOOD_PER_SECOND * length)
    people = world.people[0]
    cpu, started = server.child.cpu_seconds(), time.monotonic()
    calls = []
    for number, token in enumerate(islice(cycle(tokens), count)):
        await asyncio.sleep(max(started + number / GOOD_PER_SECOND - time.monotonic(), 0))
        calls.append(asyncio.create_task(_send(server, token, people[number % len(people)])))
    answers = await asyncio.gather(*calls)
    refused = sum(status != 200 for status, _ in answers)
    return Calls([taken for _, taken in answers], refused, server.child.cpu_seconds() - cpu, length)


async def _send(server: Herald, token: str, person: str) -> tuple[int, float]:
    body = {"channel": "msteams", "userIdentityType": "resolve", "message": PLAIN, "identities": [person]}
    path = f"{server.url}/api/public/bot/{bot_id(1)}/notify"
    started = time.perf_counter()
    async with server.http.post(path, json=body, headers={"auth": token}) as answer:
        await answer.read()
        return answer.status, time.perf_counter() - started


def _plan(world: World, server: Herald, key: DecryptionKey) -> Path:
    url = f"{server.url}/api/public/bot/{bot_id(1)}/notify"
    path = world.folder / "flood.json"
    path.write_text(json.dumps({"url": url, "rate": BAD_PER_SECOND, "tokens": _bad(key)}))
    return path


def _bad(key: DecryptionKey) -> list[str]:
    """Garbage, a wrong signature, a stranger, a forged RS256, and encrypted ones that cost a decryption."""
    forger = rsa.generate_private_key(65537, 2048)
    wrong = jwt.encode({"appId": client_id(1)}, secrets.token_urlsafe(32), "HS256")
    head, _, *rest = encrypt(wrong, key).split(".")
    return [
        secrets.token_urlsafe(100),
        wrong,
        jwt.encode({"appId": "cs-nobody"}, secrets.token_urlsafe(32), "HS256"),
        jwt.encode({"appId": client_id(1)}, forger, "RS256"),
        encrypt(wrong, key),
        ".".join([head, secrets.token_urlsafe(256), *rest]),
        "a.b.c.d.e",
    ]


def _good() -> str:
    return jwt.encode({"sub": "1234567890", "appId": client_id(1)}, secret(1), "HS256")


def _pem() -> str:
    key = rsa.generate_private_key(65537, 2048)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def _is_ready(line: Json) -> bool:
    return bool(line.get("ready"))
