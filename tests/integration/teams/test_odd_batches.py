"""Batches of Graph that are not what was asked for: nobody is thought missing for it, and the rest is answered."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import aiohttp
import orjson
import pytest
from aiohttp import ClientSession, web

from adapters.base import FaultClass
from identity.answers import LookupFailed
from identity.teams import GraphPeople
from storage.directory import Person
from tests.integration.teams import kit
from tests.integration.teams.kit import Cloud
from tests.integration.teams.test_graph import Directory, find, user

Part = dict[str, Any]
NO_PARTS: list[Any] = [None, 5, "x"]
ADDRESSES = [f"p{number}@example.com" for number in range(9)]  # three questions of three addresses


class Lying(Directory):
    """A Graph that answers, and lies about its first `times` batches."""

    def __init__(self, lie: Callable[[list[Part]], list[Part]], times: int) -> None:
        super().__init__(*(user(number) for number in range(9)))
        self._lie = lie
        self._times = times

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        answer = await super().__call__(request)
        assert isinstance(answer, web.Response)
        assert isinstance(answer.body, bytes)
        if len(self.batches) > self._times:
            return answer
        parts = orjson.loads(answer.body)["responses"]
        return web.json_response({"responses": self._lie(parts)})


LIES: dict[str, Callable[[list[Part]], list[Part]]] = {
    "fewer": lambda parts: parts[1:],
    "none": lambda _: [],
    "of-others": lambda parts: [{**each, "id": f"other-{each['id']}"} for each in parts],
    "without-ids": lambda parts: [{name: value for name, value in each.items() if name != "id"} for each in parts],
    "more": lambda parts: [*parts, {"id": "77", "status": 200, "body": {"value": []}}, *NO_PARTS],
    "no-objects": lambda parts: [*NO_PARTS, *parts[2:]],
    "no-bodies": lambda parts: [{"id": each["id"], "status": 200} for each in parts],
    "odd-status": lambda parts: [{**each, "status": "200"} for each in parts],
    "twice-the-same": lambda parts: parts + parts,
    "contradicting": lambda parts: [*parts, *({**each, "body": {"value": []}} for each in parts)],
    "no-list": lambda parts: [{**each, "body": {"value": None}} for each in parts],
    "more-pages": lambda parts: [{**each, "body": {"value": [], "@odata.nextLink": "https://x"}} for each in parts],
    "no-value": lambda parts: [{**each, "body": {}} for each in parts],
    "people-without-ids": lambda parts: [{**each, "body": {"value": [{"mail": ADDRESSES[0]}]}} for each in parts],
}
FOR_EVER = ["fewer", "none", "of-others", "without-ids", "no-bodies", "odd-status", "contradicting", "no-list"]


class TestLies:
    @pytest.mark.parametrize("name", LIES)
    async def test_for_a_while(self, cloud: Cloud, session: ClientSession, name: str) -> None:
        """Whoever was not answered for is asked for again, and everybody is found."""
        cloud.graph = Lying(LIES[name], times=2)

        answers = await find(GraphPeople(kit.bots(cloud, session)), *ADDRESSES)

        assert all(isinstance(each, Person) for each in answers.values())

    @pytest.mark.parametrize("name", [*FOR_EVER, "no-value", "more-pages", "people-without-ids"])
    async def test_for_ever(self, cloud: Cloud, session: ClientSession, name: str) -> None:
        """Whoever is never answered for stays open; nobody is refused."""
        cloud.graph = lying = Lying(LIES[name], times=1000)

        answers = await find(GraphPeople(kit.bots(cloud, session)), *ADDRESSES)

        late = [each for each in answers.values() if isinstance(each, LookupFailed)]
        assert late
        assert {each.fault.klass for each in late} == {FaultClass.NOT_SENT}
        assert all(isinstance(each, LookupFailed | Person) for each in answers.values())
        assert len(lying.batches) <= 8

    async def test_too_slow(self, cloud: Cloud, session: ClientSession) -> None:
        """A batch that is not answered in time leaves its questions open."""

        async def hang(request: web.Request) -> web.StreamResponse:
            while request.transport is not None and not request.transport.is_closing():  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            return web.Response()

        cloud.graph = hang
        people = GraphPeople(kit.bots(cloud, session), timeout=aiohttp.ClientTimeout(total=0.3))

        answers = await find(people, *ADDRESSES)

        assert {each.fault.reason for each in answers.values() if isinstance(each, LookupFailed)} == {
            "platform_unreachable"
        }
        assert len(answers) == 9
