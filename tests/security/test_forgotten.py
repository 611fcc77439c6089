"""What was sent for real, and is forgotten, can be read nowhere in the database: no e-mail, no text, no user id."""

from __future__ import annotations

from dataclasses import astuple

from notify import forgetting
from notify.digest import pseudonym
from notify.housekeeping import SECONDS_PER_DAY, tidy
from notify.idempotency import bind
from notify.message import Kind, Message
from notify.records import Entry, Submission
from storage.engine import Database
from storage.persons import Scope
from tests.integration.notify.kit import BOT, HOME, People, Server, serving
from tests.integration.notify.past import KEY, legible

ANN, STRANGER = "ann.canary@x.example", "nobody.canary@x.example"
ANNS = ("ann.canary", "Ann.Canary", "UANNCANARY", "Canary Person")
EVERYBODYS = ("Lunch at canary", "value of a canary")
IDEMPOTENCY = "canary-key-ann.canary@x.example"
LATER = 200 * SECONDS_PER_DAY


async def send(server: Server) -> None:
    """A message with a value to somebody who is found, written in another spelling, and to a stranger."""
    await server.install(HOME)
    entries = [
        Entry("Ann.Canary@x.example", ANN, values={"name": "value of a canary"}),
        Entry(STRANGER, STRANGER, values={"name": "value of a canary"}),
    ]
    message = Message(Kind.TEXT, "Lunch at canary, {name}")
    submission = Submission(BOT, server.platform.name, "cs-1", "u-1", "v1", "resolve", message, entries)
    answer = await server.requests.accept(
        submission,
        now=server.wall(),
        write=lambda record: record.id.encode(),
        key=bind(IDEMPOTENCY, ANN.encode(), KEY),
    )
    await server.closed(answer.decode())


def people() -> People:
    """A directory that knows Ann."""
    known = People()
    known.add(HOME, ANN, name="Canary Person")
    return known


class TestForgotten:
    async def test_person(self, database: Database, database_url: str) -> None:
        """S21: of a person who was forgotten nothing can be read; that somebody was written to can."""
        async with serving(database, people=people()) as server:
            await send(server)
            before = await legible(database, database_url)
            found = await forgetting.find(database, forgetting.wanted(Scope(), email=ANN))
            await forgetting.forget(database, found, key=KEY, mark="somebody", now=server.wall())
        after = await legible(database, database_url)

        assert [] == [each for each in (*ANNS, *EVERYBODYS) if each not in before]
        assert [] == [each for each in ANNS if each in after]
        assert STRANGER in after
        assert pseudonym(KEY, ANN) in after

    async def test_time(self, database: Database, database_url: str) -> None:
        """S21: of what is past its time nothing can be read."""
        async with serving(database, people=people()) as server:
            await send(server)
            later = server.wall() + LATER
        await tidy(database, days=90, key=KEY, now=later)

        after = await legible(database, database_url)

        assert [] == [each for each in (*ANNS, *EVERYBODYS, STRANGER) if each in after]


def test_keys() -> None:
    """S21: an idempotency key may name a person, and a body could be guessed: both are stored as keyed hashes."""
    bound = bind(IDEMPOTENCY, b"body", KEY)

    assert bound == bind(IDEMPOTENCY, b"body", KEY)
    assert not {bound.key, bound.body_hash} & {IDEMPOTENCY, *astuple(bind(IDEMPOTENCY, b"body", b"another"))}
