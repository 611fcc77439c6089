"""Send calls and explanations stand in the audit record: who, how many, about whom, and nobody's address."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from sqlalchemy.exc import OperationalError

from adapters.base import ChannelName
from identity.resolver import Resolver
from notify.disclosures import Disclosures, mark
from notify.dry_run import DryRun
from notify.lookups import LookUps
from notify.prospects import Prospects, Question, Side
from notify.records import NotInstalled
from storage.engine import Database
from tests.harness.record import entries
from tests.integration.notify.kit import BOT, HOME, People, crowd
from tests.integration.notify.kit import serving as served

KEY = b"k" * 32
ANN = "ann@x.example"


class TestRequests:
    async def test_with_the_request(self, database: Database) -> None:
        """An accepted request is recorded with client, number of people, route and lane; a refused one is not."""
        async with served(database) as server:
            await server.install(HOME)
            request = await server.accept(crowd(3), client="cs-7")
            with pytest.raises(NotInstalled):
                await server.accept(crowd(3), tenant="nowhere")

        [row] = await entries(database)
        assert ("request_accepted", "cs-7", request) == (row.kind, row.actor, row.subject)
        assert (BOT, HOME, {"people": 3, "route": "v1"}) == (row.bot_id, row.tenant_id, json.loads(row.detail))


class TestExplanations:
    async def test_nobody_named(self, database: Database) -> None:
        """An explanation is recorded under a hash that is the same for the same person and needs the key."""
        book = Disclosures(database, KEY, clock=lambda: 5.0)
        for spelled, look_up in ((ANN, True), ("Ann@X.example", False)):
            question = Question(BOT, ChannelName.SLACK, "resolve", [spelled])
            await book.record(question, "cs-1", look_up=look_up)

        first, second = await entries(database)
        assert mark(KEY, ANN) == first.subject == second.subject != mark(b"x" * 32, ANN)
        assert [{"lookUp": True}, {"lookUp": False}] == [json.loads(each.detail) for each in (first, second)]
        assert "x.example" not in str((first, second)).lower()

    async def test_first_of_all(self, database: Database, tmp_path: Path) -> None:
        """Nobody is asked about a person, and nothing is told, where that cannot be recorded."""
        people, nowhere = People(), Database.open(f"sqlite:///{tmp_path}/no folder/herald.db")
        people.add(HOME, ANN)
        async with served(database, people=people) as server:
            await server.install(HOME)
            sides = {server.platform.name: Side(Resolver(database, people, clock=server.wall), server.platform.pace())}
            look_ups = LookUps(database, wake=server.runner.wake, clock=time.monotonic)
            book = Disclosures(nowhere, KEY, clock=server.wall)
            desk = DryRun(Prospects(database, sides), look_ups, sides, server.runner.traffic, book)
            question = Question(BOT, server.platform.name, "resolve", [ANN])
            with pytest.raises(OperationalError):
                await desk.explain(question, "cs-1", look_up=True)

        await nowhere.close()
        assert [] == people.asked
