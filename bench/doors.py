"""What it costs to know that Teams or Slack is calling: one signature for each event, beside the bare one."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from statistics import median
from typing import Any, Final

import aiohttp
import jwt
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

from adapters.slack import door
from adapters.teams.auth import ConnectorTokens
from adapters.teams.keys import KeySet
from adapters.teams.service_urls import ServiceUrls
from bench.measure import Row

APP: Final = "a9900000-0000-4000-8000-00000000000a"
ISSUER: Final = "https://api.botframework.com"
CONNECTOR: Final = "https://smba.trafficmanager.net/emea/"
SECRET: Final = b"8f742231b10e8888abcd99yyyzzz85a5"
ROUNDS: Final = 15


async def measure_doors(quick: bool) -> list[Row]:
    """Milliseconds of CPU for one check, the median of rounds that take turns with the bare one."""
    times = 200 if quick else 2000
    return [*await _teams(times), *(_slack(size, times) for size in (1_000, 10_000))]


async def _teams(times: int) -> list[Row]:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    now = time.time()
    claims = {"iss": ISSUER, "aud": APP, "nbf": now - 60, "exp": now + 3600, "serviceurl": CONNECTOR}
    token = jwt.encode(claims, key, "RS256", headers={"kid": "current"})
    public = key.public_key()
    listed: Mapping[str, Any] = RSAAlgorithm.to_jwk(public, as_dict=True)
    async with _key_endpoint({**listed, "kid": "current", "use": "sig", "endorsements": ["msteams"]}) as keys:
        tokens = ConnectorTokens(
            keys, app_id=APP, issuer=ISSUER, service_urls=ServiceUrls(["https://smba.trafficmanager.net"])
        )
        header = [f"Bearer {token}"]
        activity = {"type": "message", "channelId": "msteams", "serviceUrl": CONNECTOR}
        tokens.check_activity(await tokens.check(header), activity)  # the keys are there now

        ours, bare = [], []
        for _ in range(ROUNDS):
            begun = time.process_time()
            for _ in range(times):
                tokens.check_activity(await tokens.check(header), activity)
            ours.append((time.process_time() - begun) / times)
            bare.append(_each(times, lambda: jwt.decode(token, public, algorithms=["RS256"], audience=APP)))
    what = "check of a Teams activity's token"
    return [_row(what, ours, "PyJWT alone", bare, 0.5)]


@asynccontextmanager
async def _key_endpoint(key: Mapping[str, Any]) -> AsyncIterator[KeySet]:
    """A key set that is served over HTTP, as Microsoft's is."""
    app = web.Application()

    async def metadata(request: web.Request) -> web.Response:
        return web.json_response({"jwks_uri": str(request.url.with_path("/keys"))})

    async def listed(_: web.Request) -> web.Response:
        return web.json_response({"keys": [key]})

    app.add_routes([web.get("/openid", metadata), web.get("/keys", listed)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        async with aiohttp.ClientSession() as session:
            url = f"http://127.0.0.1:{runner.addresses[0][1]}/openid"
            yield KeySet(session, url, allow_http=True)
    finally:
        await runner.cleanup()


def _slack(size: int, times: int) -> Row:
    raw = json.dumps({"type": "event_callback", "event": {"text": "x" * size}}).encode()
    now = int(time.time())
    given = door.signature(SECRET, str(now), raw).decode()

    def check() -> None:
        assert door.is_genuine(SECRET, str(now), given, raw, now)

    def alone() -> None:
        expected = hmac.new(SECRET, b"v0:%d:" % now + raw, hashlib.sha256).hexdigest()
        assert hmac.compare_digest("v0=" + expected, given)

    ours, bare = [], []
    for _ in range(ROUNDS):
        ours.append(_each(times, check))
        bare.append(_each(times, alone))
    return _row(f"check of a Slack event's signature, {size // 1000} KB", ours, "hmac alone", bare, 0.1)


def _each(times: int, work: Callable[[], object]) -> float:
    begun = time.process_time()
    for _ in range(times):
        work()
    return (time.process_time() - begun) / times


def _row(what: str, ours: Sequence[float], name: str, bare: Sequence[float], most: float) -> Row:
    taken, reference = median(ours) * 1000, median(bare) * 1000
    ratio = f"{taken / reference:.2f}"
    return Row(what, f"{taken:.3f} ms", f"{name}: {reference:.3f} ms", ratio, f"at most {most:g} ms", taken <= most)
