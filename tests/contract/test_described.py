"""The description says what a caller is answered: every status of every call, provoked on a real server."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final, NoReturn

import pytest
from sqlalchemy.exc import OperationalError

from notify.idempotency import KeyBusy, KeyReused
from notify.openapi import calls, examples
from notify.quota import Quota
from tests.contract.face import ADMIN_SECRET, BOT, UNKNOWN_BOT, Face, running, token
from tests.harness.described import problems

BODIES: Final[Mapping[str, Any]] = {
    "send": examples.V1["text"],
    "sendV2": examples.V2["contentAndValue"],
    "preview": examples.PREVIEW["everyChannel"],
    "explain": examples.EXPLAIN["stored"],
}
REQUEST: Final = "ds-00000000-0000-5000-8000-00000000ffff"
DESCRIBED: Final = [
    (int(status), method, path, operation["operationId"])
    for (method, path), operation in calls.operations().items()
    for status in operation["responses"]
]
SERVERS: Final[Mapping[int, Mapping[str, Any]]] = {
    408: {"body_seconds": 0.1},
    413: {"max_body": 10, "max_other_body": 10},
}
FAILURES: Final[Mapping[int, Exception]] = {
    409: KeyBusy(),
    422: KeyReused(),
    500: RuntimeError("a defect"),
    503: OperationalError("", None, Exception()),
}


class Failing:
    """Whatever is asked of the rooms behind the face, this is what comes of it."""

    def __init__(self, failure: Exception) -> None:
        self._failure = failure

    async def fail(self, *_given: object, **_named: object) -> NoReturn:
        raise self._failure

    answered = accept = status = rehearse = explain = render = fail


async def _never() -> AsyncIterator[bytes]:
    yield b"{"
    await asyncio.Event().wait()


def _call(status: int, name: str) -> dict[str, Any]:
    """What a caller does to get this status."""
    headers = {"auth": token(), "Content-Type": "application/json"}
    options: dict[str, Any] = {"headers": headers}
    if name in BODIES:
        options["json"] = BODIES[name]
    match status:
        case 400:
            headers["auth"] = token(client="cs-admin", key=ADMIN_SECRET)
        case 401:
            del headers["auth"]
        case 408:
            options = {"headers": headers, "data": _never()}
        case 412:
            options["params"] = {"verbose": "yes"}
        case 415:
            headers["Content-Type"] = "text/plain"
        case 417:
            headers["Expect"] = "the unexpected"
    return options


async def _request(face: Face, status: int) -> str:
    return str((await face.send()).json["_id"]) if status == 200 else REQUEST


def _spent() -> Quota:
    quota = Quota(per_minute=1, per_hour=1)
    quota.take(BOT, time.monotonic())
    return quota


@pytest.mark.parametrize("status", sorted({status for status, *_ in DESCRIBED}))
async def test_every_status(status: int) -> None:
    """Every status that is described for a call does come, with the headers and the body that are described."""
    rooms: dict[str, Any] = dict(SERVERS.get(status, {}))
    if status in FAILURES:
        failing = Failing(FAILURES[status])
        rooms |= {"requests": failing, "dry_run": failing, "trial": failing}
    if status == 429:
        rooms["quota"] = _spent()
    async with running(**rooms) as face:
        request = await _request(face, status)
        for _, method, path, name in (each for each in DESCRIBED if each[0] == status):
            place = path.format(botId=UNKNOWN_BOT if status == 400 else BOT, requestId=request)

            answer = await face.call(method, place, **_call(status, name))

            assert (name, status) == (name, answer.status)
            assert [] == problems(method, place, answer.status, answer.headers, answer.json)


async def test_dry_run(face: Face) -> None:
    """A dry run is answered as it is described."""
    for route, body in (("notify", BODIES["send"]), ("notifyV2", BODIES["sendV2"])):
        answer = await face.send(body, route=f"{route}?dryRun=true")

        assert (200, "DRY_RUN") == (answer.status, answer.json["status"])


async def test_a_slip_is_seen(face: Face) -> None:
    """An answer with a member more, a member less or another status is not as described."""
    answer = await face.send()
    path = f"/api/public/bot/{BOT}/notify"

    def found(code: int = 200, **changes: Any) -> list[str]:
        body = {name: value for name, value in {**answer.json, **changes}.items() if value is not None}
        return problems("POST", path, code, answer.headers, body)

    assert [] == found()
    assert all((found(more=1), found(store=None), found(status="DONE"), found(lMod="today"), found(404)))
