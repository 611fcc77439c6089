"""Callers of a whole Herald: one that asks far too often, and one whose tokens nobody else can read."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from console.commands.token import encrypted
from settings import load
from tests.harness.herald import CLIENT, Herald, caller_token, served, settings, write_settings
from tests.harness.platforms import SLACK, Platforms, simulated

BUDGET = 40


async def test_k11_polling(database_url: str, tmp_path: Path) -> None:
    """K11: a status polled far beyond the budget is 429 from there on, and sending goes on as if nobody asked."""
    async with simulated() as platforms:
        limits = {"requests_per_minute": BUDGET}
        path = write_settings(tmp_path, settings(platforms, database_url, limits=limits))
        async with served(path) as herald:
            request = await herald.notify(SLACK, platforms.emails(30))
            answers = Counter[int]()
            for _ in range(10):
                answers.update(await asyncio.gather(*(polled(herald, request) for _ in range(20))))
            arrived = await platforms.arrived(SLACK, 30)

    assert {200: BUDGET - 1, 429: 200 - BUDGET + 1} == answers
    assert len(arrived) == 30


async def polled(herald: Herald, request: str) -> int:
    path = f"{herald.url}/api/public/bot/{herald.bot}/notify/status/{request}"
    async with herald.http.get(path, headers={"auth": herald.token}) as answer:
        assert answer.status == 200 or int(answer.headers["Retry-After"]) > 0
        return answer.status


async def test_encrypted(platforms: Platforms, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A caller with an encrypted token sends as any other, and the log holds nothing of it or of its key."""
    key = rsa.generate_private_key(65537, 2048).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (tmp_path / "key.pem").write_bytes(key)
    whole = settings(platforms, f"sqlite:///{tmp_path}/herald.db")
    whole["decryption_keys"] = [{"kid": "k-1", "private_key": "file:key.pem"}]
    path = write_settings(tmp_path, whole)
    token = encrypted(load(path, {}), caller_token(CLIENT))
    async with served(path) as herald:
        herald.token = token
        record = await herald.deliver(SLACK, platforms.emails(3))
        herald.token = token[:-8] + "AAAAAAAA"
        status, answer = await herald.post({})

    assert record["status"] == "SUCCESS"
    assert (status, answer["errors"][0]["msg"]) == (401, "Invalid JWT token")
    logged = json.dumps([str(vars(each)) for each in caplog.records])
    assert not [part for part in (*token.split("."), key.decode().splitlines()[1]) if part in logged]


@pytest.fixture(name="platforms")
async def _platforms() -> AsyncIterator[Platforms]:
    async with simulated(people=10) as opened:
        yield opened
