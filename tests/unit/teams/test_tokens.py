"""Token sources: one asker, a cache, renewal before the end, failures that are the lane's."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest
from aiohttp import web

from adapters.base import FaultClass
from adapters.teams.config import Certificate, TeamsApp
from adapters.teams.tokens import (
    Grant,
    TokenSource,
    TokenUnavailable,
    certificate_grants,
    managed_identity_grants,
    threaded_grants,
)


class Entra:
    """Gives numbered tokens, slowly or not at all."""

    def __init__(self, life: float = 3600.0) -> None:
        self.life = life
        self.asked = 0
        self.down = False
        self.go = asyncio.Event()
        self.go.set()

    async def __call__(self) -> Grant:
        self.asked += 1
        number = self.asked
        await self.go.wait()
        if self.down:
            raise TokenUnavailable("http_503")
        return Grant(f"t{number}", self.life)


class Clock:
    def __init__(self) -> None:
        self.at = 0.0

    def __call__(self) -> float:
        return self.at


def source(entra: Entra) -> tuple[TokenSource, Clock]:
    clock = Clock()
    return TokenSource(entra, clock=clock), clock


async def settled(until: Callable[[], bool]) -> None:
    while not until():  # noqa: ASYNC110 - the loop runs what is ready; no time passes
        await asyncio.sleep(0)


class TestCache:
    async def test_single_flight(self) -> None:
        """Many askers at once are one request."""
        entra = Entra()
        tokens, _ = source(entra)

        assert await asyncio.gather(*(tokens.header() for _ in range(50))) == ["Bearer t1"] * 50
        assert entra.asked == 1

    async def test_kept_until_near_its_end(self) -> None:
        """Within five minutes of its end the old token still serves while one background request renews it."""
        entra = Entra()
        tokens, clock = source(entra)
        await tokens.header()
        clock.at = 3299
        assert (await tokens.header(), entra.asked) == ("Bearer t1", 1)
        clock.at = 3301
        entra.go.clear()
        assert [await tokens.header() for _ in range(3)] == ["Bearer t1"] * 3
        await settled(lambda: entra.asked == 2)
        entra.go.set()
        await settled(lambda: tokens._asking is None)

        assert (await tokens.header(), entra.asked) == ("Bearer t2", 2)

    async def test_renewal_failing_is_not_noticed(self) -> None:
        """While the old token lives a login endpoint that is down harms nobody; it is asked every 20 seconds."""
        entra = Entra()
        tokens, clock = source(entra)
        await tokens.header()
        entra.down = True
        for clock.at in (3310.0, 3315.0, 3331.0):
            assert await tokens.header() == "Bearer t1"
            await settled(lambda: tokens._asking is None)
        assert entra.asked == 3
        clock.at = 3571

        with pytest.raises(TokenUnavailable):
            await tokens.header()

    async def test_expire(self) -> None:
        """A rejected token is dropped, once: a late 401 for an old token does not drop the new one."""
        entra = Entra()
        tokens, _ = source(entra)
        old = await tokens.header()
        tokens.expire(old)
        new = await tokens.header()
        tokens.expire(old)

        assert (new, await tokens.header(), entra.asked) == ("Bearer t2", "Bearer t2", 2)

    async def test_a_cancelled_asker_does_not_cancel_the_others(self) -> None:
        """X20: cancellation of one send leaves the request for the token alone."""
        entra = Entra()
        entra.go.clear()
        tokens, _ = source(entra)
        first, second = asyncio.create_task(tokens.header()), asyncio.create_task(tokens.header())
        await settled(lambda: entra.asked == 1)
        first.cancel()
        entra.go.set()

        assert await second == "Bearer t1"
        assert entra.asked == 1

    async def test_failure_is_shared_and_then_asked_again(self) -> None:
        """P20: all who wait hear of the failure; the next asker asks anew."""
        entra = Entra()
        entra.down = True
        tokens, _ = source(entra)
        failures = await asyncio.gather(*(tokens.header() for _ in range(5)), return_exceptions=True)
        entra.down = False

        assert all(isinstance(failure, TokenUnavailable) for failure in failures)
        assert await tokens.header() == "Bearer t2"

    async def test_a_token_without_a_life(self) -> None:
        """A token that names no usable life is used once and asked for again."""
        entra = Entra(life=0.0)
        tokens, _ = source(entra)

        assert [await tokens.header(), await tokens.header()] == ["Bearer t1", "Bearer t2"]


class TestThreads:
    async def test_off_the_loop(self) -> None:
        """Certificates and managed identities are asked for in a thread."""
        threads: list[int] = []

        def acquire() -> dict[str, Any]:
            threads.append(threading.get_ident())
            return {"access_token": "abc", "expires_in": 3599}

        grant = await threaded_grants(acquire)()

        assert (grant.token, grant.expires_in) == ("abc", 3599.0)
        assert threads != [threading.get_ident()]

    @pytest.mark.parametrize(
        ("found", "code"),
        [
            ({"error": "invalid_client", "error_description": "AADSTS700027: bad\r\nTrace ID: x"}, "invalid_client"),
            ({}, "http_400"),
            ({"access_token": "a b"}, "http_200"),
            ({"access_token": "a\r\nX: y"}, "http_200"),
            ({"access_token": 5}, "http_200"),
        ],
    )
    async def test_refusals(self, found: dict[str, Any], code: str) -> None:
        """What is no token is a fault of the lane, with Entra's own word and one line of text."""
        with pytest.raises(TokenUnavailable) as refused:
            await threaded_grants(lambda: found)()

        assert (refused.value.fault.code, refused.value.fault.klass) == (code, FaultClass.CONFIGURATION)
        assert "\n" not in refused.value.fault.detail

    async def test_whatever_msal_raises(self) -> None:
        """A broken key or transport inside msal is no exception of ours to handle elsewhere."""

        def acquire() -> dict[str, Any]:
            raise ValueError("secret-key-material")

        with pytest.raises(TokenUnavailable) as refused:
            await threaded_grants(acquire)()

        assert "secret-key-material" not in repr(refused.value.fault)

    async def test_certificate(self) -> None:
        """msal is built in the thread; that it takes no `http:` authority is a fault of the lane, not a crash."""
        grants = certificate_grants("http://127.0.0.1:9/tenant", "app", Certificate("no key", "AB" * 20), "https://aud")

        with pytest.raises(TokenUnavailable):
            await grants()

    def test_thumbprints(self) -> None:
        """A SHA-256 thumbprint is refused at start: msal would take it for SHA-1."""
        assert Certificate("key", ":".join(["AB"] * 20)).thumbprint
        with pytest.raises(ValueError, match="SHA-1"):
            Certificate("key", "AB" * 32)

    async def test_managed_identity(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The token of a managed identity comes from the host's own endpoint, for our audience and our client id."""
        asked: list[dict[str, str]] = []

        async def give(request: web.Request) -> web.StreamResponse:
            asked.append(dict(request.query))
            return web.json_response({"access_token": "msi", "expires_on": "4000000000", "token_type": "Bearer"})

        app = web.Application()
        app.router.add_get("/msi", give)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        monkeypatch.setenv("IDENTITY_ENDPOINT", f"http://127.0.0.1:{runner.addresses[0][1]}/msi")
        monkeypatch.setenv("IDENTITY_HEADER", "x")
        grant = await managed_identity_grants("app-id", "https://api.botframework.com")()
        await runner.cleanup()

        assert grant.token == "msi"
        assert [(each["resource"], each["client_id"]) for each in asked] == [("https://api.botframework.com", "app-id")]


class TestSecrets:
    def test_are_not_shown(self) -> None:
        """Neither a password, nor a private key, nor a token appears in a repr."""
        shown = repr(
            [
                TeamsApp("st-1", "app", tenant_id="t", password="hush"),  # type: ignore[arg-type]
                TeamsApp("st-2", "app", tenant_id="t", certificate=Certificate("hush", "AB" * 20)),  # type: ignore[arg-type]
                Grant("hush", 1.0),
            ]
        )

        assert "hush" not in shown
