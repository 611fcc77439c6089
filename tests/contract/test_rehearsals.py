"""The dry run of a send call and the explanation of one person: shapes and refusals, before any database."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from notify.errors import INVALID_ARGUMENTS
from tests.contract import samples
from tests.contract.face import BOT, SLACK_ONLY, Answer, Face, body, running


@pytest.fixture(name="face")
async def _face() -> AsyncIterator[Face]:
    async with running() as face:
        yield face


async def dry_run(face: Face, payload: dict[str, Any], query: str = "dryRun=true", **headers: str) -> Answer:
    path = f"/api/public/bot/{BOT}/notify?{query}"
    return await face.call("POST", path, json=payload, headers={"auth": face.auth, **headers})


def names(answer: Answer, field: str) -> bool:
    """Whether Kore's sentence comes first and one further entry names the field."""
    sentences = answer.messages
    return sentences[0] == INVALID_ARGUMENTS and any(each.startswith(f"{field}:") for each in sentences[1:])


class TestDryRun:
    async def test_shape(self, face: Face) -> None:
        """A dry run answers with the record of a send, without an id, and one entry for each identity."""
        answer = await dry_run(face, body(identities=["ann@x.example", "bob@x.example"]))

        record = answer.json
        assert answer.status == 200
        assert set(record) == {
            "status", "percentageComplete", "streamId", "createdBy", "jobType", "action", "statusLogs", "lMod",
            "createdOn", "requestedTime", "__v", "count", "store", "countOfDockStatuses", "details",
        }  # fmt: skip
        assert (record["status"], record["count"], record["store"]) == ("DRY_RUN", 2, {"identitiesCount": 2})
        assert [entry["originalId"] for entry in record["statusLogs"]] == ["ann@x.example", "bob@x.example"]
        assert all("_id" not in entry and "status" not in entry for entry in record["statusLogs"])
        assert record["details"]["outcomes"] == {"reachable": 2}
        assert record["details"]["sample"]["text"]

    async def test_nothing_is_stored(self, face: Face) -> None:
        """A dry run is no request, and binds no key: the same key sends for real afterwards."""
        rehearsed = await dry_run(face, body(), **{"Idempotency-Key": "k-1"})
        sent = await face.send(body(), Idempotency_Key="k-1")

        assert rehearsed.json["status"] == "DRY_RUN"
        assert sent.json["status"] == "IN_PROGRESS"
        assert len(face.requests.submissions) == 1

    async def test_refused_like_a_send(self, face: Face) -> None:
        """A body that could not be sent cannot be rehearsed."""
        answer = await dry_run(face, body(channel="fax", identities=[]))

        assert answer.refusal[:2] == (412, 412)
        assert names(answer, "channel")
        assert names(answer, "identities")

    @pytest.mark.parametrize("query", ["dryRun=maybe", "dryRun=", "dryRun=1", "dryRun=false&dryRun=true"])
    async def test_unclear_wish(self, face: Face, query: str) -> None:
        """What is neither true nor false is refused: nothing is sent by mistake."""
        answer = await dry_run(face, body(), query)

        assert names(answer, "dryRun")
        assert face.requests.submissions == []

    @pytest.mark.parametrize("name", ["dryrun", "DryRun", "dry_run", "dryRun%20", "tenant", ""])
    async def test_slip_of_the_name(self, face: Face, name: str) -> None:
        """A name that the call does not know is refused, with or without the right one: no slip sends for real."""
        answer = await dry_run(face, body(), f"{name}=true")
        beside = await dry_run(face, body(), f"dryRun=true&{name}=true")

        assert answer.refusal[:2] == beside.refusal[:2] == (412, 412)
        assert names(answer, f"?{name.replace('%20', ' ')}")
        assert "dryRun" in answer.messages[1]
        assert face.requests.submissions == []

    async def test_many_names(self, face: Face) -> None:
        """Of very many names the first are named and the rest is counted."""
        answer = await dry_run(face, body(), "&".join(f"n{number}=1" for number in range(200)))

        assert len(answer.messages) == 22
        assert "180 more" in answer.messages[-1]

    async def test_false(self, face: Face) -> None:
        """dryRun=false sends."""
        assert (await dry_run(face, body(), "dryRun=FALSE")).json["status"] == "IN_PROGRESS"


class TestExplain:
    async def test_shape(self, face: Face) -> None:
        """One person as they stand, in the names of a status entry."""
        answer = await face.explain({"channel": "slack", "identity": "ann@x.example"})

        assert answer.status == 200
        assert set(answer.json) == {"streamId", "channel", "originalId", "comments", "details"}
        assert answer.json["details"] == {"outcome": "reachable"}

    @pytest.mark.parametrize(
        ("change", "field"),
        [
            ({"channel": "fax"}, "channel"),
            ({"channel": None}, "channel"),
            ({"identity": None}, "identity"),
            ({"identity": 7}, "identity"),
            ({"identity": "a\x00b"}, "identity"),
            ({"identities": ["a@x.example"]}, "identities"),
            ({"lookUp": "yes"}, "lookUp"),
            ({"lookUp": True, "userIdentityType": "donotresolve"}, "lookUp"),
            ({"userIdentityType": "guess"}, "userIdentityType"),
            ({"options": []}, "options"),
            ({"options": {"onUncertain": "hold"}}, "options.onUncertain"),
            ({"options": {"tenant": "contoso"}}, "options.tenant"),
        ],
    )
    async def test_wrong_field(self, face: Face, change: dict[str, Any], field: str) -> None:
        """A wrong field is named with what to do."""
        question = {"channel": "msteams", "identity": "ann@x.example"} | change
        answer = await face.explain({name: value for name, value in question.items() if value is not None})

        assert answer.refusal[:2] == (412, 412)
        assert names(answer, field)

    async def test_channel_of_the_bot(self, face: Face) -> None:
        """A channel that the bot is not set up for is refused by name."""
        answer = await face.explain({"channel": "msteams", "identity": "ann@x.example"}, bot=SLACK_ONLY)

        assert names(answer, "channel")

    async def test_query(self, face: Face) -> None:
        """Names in the query are refused here and by the status call: they know none."""
        path = f"/api/public/bot/{BOT}/identities/explain?lookUp=true"
        question = {"channel": "slack", "identity": "ann@x.example"}
        answer = await face.call("POST", path, json=question, headers={"auth": face.auth})
        request = (await face.send()).json["_id"]

        assert names(answer, "?lookUp")
        assert names(await face.status(f"{request}?verbose=1"), "?verbose")

    async def test_get(self, face: Face) -> None:
        """Only POST explains: no e-mail stands in an address."""
        answer = await face.call("GET", f"/api/public/bot/{BOT}/identities/explain", headers={"auth": face.auth})

        assert answer.refusal[:2] == (405, 405)

    @pytest.mark.parametrize("raw", [b"", b"[]", b"{", samples.TEXT, b'{"a":' * 3000])
    async def test_no_question(self, face: Face, raw: bytes) -> None:
        """What is no question is refused in Kore's shape."""
        path = f"/api/public/bot/{BOT}/identities/explain"
        answer = await face.call("POST", path, data=raw, headers={"auth": face.auth})

        assert answer.refusal[:2] in ((412, 412), (415, 415))
