"""K14: who polls a status sees entries come, and never change places."""

from __future__ import annotations

import asyncio

from tests.harness.herald import FINAL, Herald, Json
from tests.harness.oracle import outcomes
from tests.harness.platforms import MSTEAMS, Platforms


async def test_k14(herald: Herald, platforms: Platforms) -> None:
    """K14: whatever the order in which deliveries end, entries that were shown keep their order, in both versions, and
    also when late evidence changes how one of them ended."""
    people = platforms.emails(12)
    await platforms.teams_install(people)
    await herald.idle()
    faults: list[Json] = [{"status": 429, "headers": {"Retry-After": "1"}}, {"status": 412}, {"drop": "after"}]
    for person, fault in zip(people[::3], faults, strict=False):
        await platforms.send_fault(MSTEAMS, person=person, times=1, **fault)
    request = await herald.notify(MSTEAMS, [*people, people[4], people[0]])
    seen: list[list[str]] = []
    record = await herald.status(request)
    while record["status"] not in FINAL:
        for route in ("notify", "notifyV2"):
            record = await herald.status(request, route)
            seen.append([entry["_id"] for entry in record["statusLogs"]])
        await asyncio.sleep(0.02)
    assert outcomes(record)["unconfirmed"] == 1
    [message] = await platforms.messages(MSTEAMS, email=people[6])
    reaction = {"person": people[6], "kind": "reaction", "message_id": message["message_id"]}
    await platforms.control("teams/events", reaction)
    for route in ("notify", "notifyV2"):
        record = await herald.status(request, route)
        seen.append([entry["_id"] for entry in record["statusLogs"]])

    assert outcomes(record) == {"sent": len(people) + 2}
    last = seen[-1]
    assert len(last) == len(set(last)) == len(people) + 2
    for earlier in seen:
        assert earlier == [each for each in last if each in set(earlier)]
