"""Slack's sender of events as a process of its own, which costs as little as it can: `python -m bench.burst plan.json`.

Every request is signed and put together before the first is sent; 48 connections each send one and wait for its answer.
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import orjson

from simulator.slack.events import sign

CONNECTIONS = 48


def _requests(plan: dict[str, Any]) -> Iterator[bytes]:
    """What Slack would write (docs.slack.dev/reference/events/user_change)."""
    url = urlsplit(plan["url"])
    people = [each for each in plan["people"] if each["email"] and not (each["is_bot"] or each["is_stranger"])]
    now = int(time.time())
    for number in range(plan["events"]):
        person = people[number % len(people)]
        body = orjson.dumps(_event(person, f"Ev{plan['round']}X{number:06d}", f"Round {plan['round']} {number}", now))
        head = (
            f"POST {url.path} HTTP/1.1\r\nHost: {url.netloc}\r\nContent-Type: application/json\r\n"
            f"X-Slack-Request-Timestamp: {now}\r\nX-Slack-Signature: {sign(plan['secret'], now, body)}\r\n"
            f"User-Agent: Slackbot 1.0 (+https://api.slack.com/robots)\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        yield head.encode() + body


def _event(person: dict[str, Any], event_id: str, name: str, now: int) -> dict[str, Any]:
    team = person["team_id"]
    profile = {"real_name": name, "display_name": name, "status_text": "", "team": team, "email": person["email"]}
    user = {
        "id": person["id"],
        "team_id": team,
        "name": person["name"],
        "deleted": False,
        "profile": profile,
        "is_bot": False,
        "is_app_user": False,
        "updated": now,
        "real_name": name,
        "tz": "Europe/London",
        "is_restricted": False,
        "is_ultra_restricted": False,
    }
    place = {"enterprise_id": None, "team_id": team, "user_id": "U0BOT", "is_bot": True, "is_enterprise_install": False}
    return {
        "token": "simulator-verification-token",
        "team_id": team,
        "api_app_id": "A0SIMAPP0",
        "event": {"type": "user_change", "user": user, "cache_ts": now, "event_ts": f"{now}.000100"},
        "type": "event_callback",
        "event_id": event_id,
        "event_time": now,
        "authorizations": [place],
        "is_ext_shared_channel": False,
        "context_team_id": team,
        "context_enterprise_id": None,
    }


class _Connection(asyncio.Protocol):
    """Sends a request whenever the last was answered, until none is left; counts the answers that are not 200."""

    def __init__(self, waiting: Iterator[bytes]) -> None:
        self._waiting = waiting
        self._heard = b""
        self.refused = 0
        self.ended = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, error: Exception | None) -> None:
        if not self.ended.done():
            self.ended.set_exception(error or ConnectionError("the server hung up"))

    def send(self) -> None:
        """The next request, or the end."""
        request = next(self._waiting, None)
        if request is None:
            self.ended.set_result(None)
        else:
            self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        """Read one answer: head, and a body as long as the head says."""
        self._heard += data
        head, found, body = self._heard.partition(b"\r\n\r\n")
        if not found:
            return
        length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        if len(body) < int(length.partition(b":")[2]):
            return
        self.refused += not head.startswith(b"HTTP/1.1 200 ")
        self._heard = b""
        self.send()


async def _run(plan: dict[str, Any]) -> None:
    url = urlsplit(plan["url"])
    waiting = iter(list(_requests(plan)))
    loop = asyncio.get_running_loop()
    opened = [
        (await loop.create_connection(lambda: _Connection(waiting), url.hostname, url.port))[1]
        for _ in range(CONNECTIONS)
    ]
    gc.freeze()
    print(json.dumps({"ready": True}), flush=True)
    await loop.run_in_executor(None, sys.stdin.readline)
    started = time.perf_counter()
    for connection in opened:
        connection.send()
    await asyncio.gather(*(connection.ended for connection in opened))
    seconds = time.perf_counter() - started
    print(json.dumps({"seconds": seconds, "refused": sum(each.refused for each in opened)}), flush=True)


if __name__ == "__main__":
    asyncio.run(_run(json.loads(Path(sys.argv[1]).read_text())))
