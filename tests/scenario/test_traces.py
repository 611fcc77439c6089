"""The trace of a delivery tells what it has been through: who was asked, what they said, in whose words."""

from __future__ import annotations

import pytest

from tests.harness.herald import Herald, Json
from tests.harness.platforms import MSTEAMS, SLACK, WITHOUT_APP, Platforms
from tests.scenario.conftest import Two

NOBODY = "nobody.at.all@contoso.example"

pytestmark = pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)


def trace(record: Json) -> list[Json]:
    """The steps of the only entry, without their ages."""
    (entry,) = record["statusLogs"]
    return [{name: value for name, value in step.items() if name != "age"} for step in entry["details"]["trace"]]


async def test_a_look_up(herald: Herald) -> None:
    """A look-up that finds nobody leaves the platform's own word."""
    (*_, last) = trace(await herald.deliver(SLACK, [NOBODY]))

    assert ("slack", "person_not_found", "users_not_found") == (last["source"], last["result"], last["code"])


async def test_an_opening(herald: Herald, platforms: Platforms) -> None:
    """An opening that is refused stands after the look-up that found the person."""
    record = await herald.deliver(MSTEAMS, [platforms.people()[WITHOUT_APP].email])

    refused = {"source": "conversation", "result": "app_not_installed", "code": "ForbiddenOperationException"}
    assert [{"source": "directory (graph)", "result": "found"}, refused] == trace(record)


async def test_sends(herald: Herald, platforms: Platforms) -> None:
    """Many sends that are put off are one step, a refusal the next; what is sent in the end says no more."""
    refused, sent = platforms.emails(2)
    for person in (refused, sent):
        await platforms.send_fault(MSTEAMS, person=person, times=2, status=429, retry_after="0.1")
    await platforms.send_fault(MSTEAMS, person=refused, code="NotEnoughPermissions")

    records = [await herald.deliver(MSTEAMS, [person]) for person in (refused, sent)]

    found = {"source": "directory (graph)", "result": "found"}
    throttled = {"source": "send", "result": "throttled", "code": "Throttled"}
    not_permitted = {"source": "send", "result": "not_permitted", "code": "NotEnoughPermissions"}
    opened = {"source": "conversation", "result": "created"}
    assert [found, opened, throttled, not_permitted] == trace(records[0])
    assert [found, opened, throttled] == trace(records[1])


async def test_several_tenants(two: Two) -> None:
    """Who is asked about in two tenants has a step for each, with its name."""
    async with two(SLACK) as herald:
        record = await herald.deliver(SLACK, [NOBODY])

    placed, *asked = trace(record)
    assert placed["source"] == "domain"
    assert [step["result"] for step in asked] == ["person_not_found"] * 2
    assert {"T0SIM0000", "T0SIM0001"} == {step["tenant"] for step in asked}
