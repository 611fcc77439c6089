"""C-79, K04 to K08: a repeated Idempotency-Key gets the literal first answer, on both databases."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator

import pytest
from sqlalchemy import func, select, text, update

from notify.idempotency import KeyBusy, MalformedKey, Turnstile, read
from notify.requests import Requests
from storage import tables
from storage.engine import Database
from tests.contract.face import ADMIN_SECRET, BOT, Face, body, running, token

KEY = "0f9e8d7c-payroll-2026-11"


@pytest.fixture(name="face")
async def _face(database: Database) -> AsyncIterator[Face]:
    requests = Requests(database, wake=lambda _lane: None, deadline_hours=24)
    async with running(requests=requests) as opened:
        yield opened


async def stored(database: Database) -> int:
    async with database.read() as tx:
        return (await tx.execute(select(func.count()).select_from(tables.requests))).scalar_one()


class TestRepeats:
    async def test_same_answer(self, face: Face, database: Database) -> None:
        """C-79: the same key with the same body is answered with the same bytes and stores nothing again."""
        first = await face.send(Idempotency_Key=KEY)
        second = await face.send(Idempotency_Key=KEY)

        assert first.status == second.status == 200
        assert first.raw == second.raw
        assert await stored(database) == 1

    async def test_of_an_earlier_version(self, face: Face, database: Database) -> None:
        """C-79: a key that an earlier version stored, in clear, still gets its answer, and still only with its body."""
        raw = json.dumps(body()).encode()
        first = await face.send(raw=raw, Idempotency_Key=KEY)
        async with database.write() as tx:
            former = {"key": KEY, "body_hash": hashlib.sha256(raw).hexdigest()}
            await tx.execute(update(tables.idempotency).values(**former))

        assert first.raw == (await face.send(raw=raw, Idempotency_Key=KEY)).raw
        assert (await face.send(raw=raw + b" ", Idempotency_Key=KEY)).status == 422
        assert await stored(database) == 1

    async def test_together(self, face: Face, database: Database) -> None:
        """K04: a hundred calls with one key at once make one request and get one answer."""
        answers = await asyncio.gather(*(face.send(Idempotency_Key=KEY) for _ in range(100)))

        assert {(answer.status, answer.raw) for answer in answers} == {(200, answers[0].raw)}
        assert await stored(database) == 1

    async def test_two_servers_together(self, face: Face, database: Database) -> None:
        """K04: two servers on one database that get the key at the same moment make one request."""
        requests = Requests(database, wake=lambda _lane: None, deadline_hours=24)
        async with running(requests=requests) as other:
            answers = await asyncio.gather(
                *(server.send(Idempotency_Key=KEY) for server in (face, other) for _ in range(10))
            )

        assert len({answer.raw for answer in answers}) == 1
        assert await stored(database) == 1

    async def test_other_body(self, face: Face, database: Database) -> None:
        """K05: the key with another body is refused and nothing is stored."""
        await face.send(Idempotency_Key=KEY)
        other = await face.send(body(identities=["someone.else@example.com"]), Idempotency_Key=KEY)

        assert other.refusal[:2] == (422, 422)
        assert "another body" in other.messages[0]
        assert await stored(database) == 1

    async def test_other_client(self, database: Database) -> None:
        """K07: another client may use the same key for a request of its own."""
        requests = Requests(database, wake=lambda _lane: None, deadline_hours=24)
        async with running(requests=requests) as face:
            first = await face.send(Idempotency_Key=KEY)
            second = await face.send(auth=token(client="cs-admin", key=ADMIN_SECRET), Idempotency_Key=KEY)

        assert (first.status, second.status) == (200, 200)
        assert first.json["_id"] != second.json["_id"]

    async def test_expired(self, face: Face, database: Database) -> None:
        """K08: after its time a key stands for nothing and may be used for a new request."""
        first = await face.send(Idempotency_Key=KEY)
        async with database.write() as tx:
            await tx.execute(text("UPDATE idempotency SET expires_at = 1"))
        second = await face.send(body(identities=["someone.else@example.com"]), Idempotency_Key=KEY)

        assert second.status == 200
        assert first.json["_id"] != second.json["_id"]

    async def test_refused_calls_bind_nothing(self, face: Face, database: Database) -> None:
        """A call that was refused does not use its key up: the mended body is accepted under it."""
        refused = await face.send(body(identities=[]), Idempotency_Key=KEY)
        mended = await face.send(Idempotency_Key=KEY)

        assert (refused.status, mended.status) == (412, 200)
        assert await stored(database) == 1

    @pytest.mark.parametrize("key", ["", " ", "x" * 256, "schlüssel", "a\tb"])
    async def test_malformed(self, face: Face, database: Database, key: str) -> None:
        """A key that is empty, too long or not printable ASCII is 400, and nothing is stored."""
        answer = await face.send(Idempotency_Key=key)

        assert answer.refusal[:2] == (400, 400)
        assert answer.messages[0].startswith("Idempotency-Key: ")
        assert await stored(database) == 0

    async def test_longest(self, face: Face) -> None:
        """255 characters are a key."""
        assert (await face.send(Idempotency_Key="x" * 255)).status == 200


class TestTurnstile:
    async def test_waits_for_the_first(self) -> None:
        """A concurrent repeat waits until the first call has ended."""
        turnstile, order = Turnstile(), []
        entered, leave = asyncio.Event(), asyncio.Event()

        async def first() -> None:
            async with turnstile.one_at_a_time(BOT, "key"):
                entered.set()
                await leave.wait()
                order.append("first")

        async def second() -> None:
            await entered.wait()
            async with turnstile.one_at_a_time(BOT, "key"):
                order.append("second")

        tasks = [asyncio.create_task(first()), asyncio.create_task(second())]
        await entered.wait()
        leave.set()
        await asyncio.gather(*tasks)

        assert order == ["first", "second"]

    async def test_gives_up(self) -> None:
        """K06: a repeat that waits longer than the bound is told to come back; the first is not disturbed."""
        turnstile = Turnstile(wait_seconds=0.01)

        async with turnstile.one_at_a_time(BOT, "key"):
            with pytest.raises(KeyBusy):
                async with turnstile.one_at_a_time(BOT, "key"):
                    pass
        async with turnstile.one_at_a_time(BOT, "key"):
            pass


def test_given_twice() -> None:
    """Two headers are one too many."""
    with pytest.raises(MalformedKey):
        read(["a", "b"])
