"""The loops that Herald is compared with, in a process of their own: `python -m bench.reference targets.json`.

Each reads one JSON line ({"loop": name, "count": n}), sends so many messages with so many in flight, and answers with
the seconds it took and the CPU it used. Sessions stay open between the questions, as they do in a server.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote

import aiohttp
import orjson
import requests
from botbuilder.core import TurnContext
from botbuilder.integration.aiohttp import CloudAdapter, ConfigurationBotFrameworkAuthentication
from botbuilder.schema import ChannelAccount, ConversationAccount, ConversationReference
from botframework.connector.auth import MicrosoftAppCredentials
from slack_sdk.web.async_client import AsyncWebClient
from yarl import URL

Json = dict[str, Any]
Send = Callable[[Json], Awaitable[None]]
TIMEOUT = aiohttp.ClientTimeout(total=15, connect=5)


def session() -> aiohttp.ClientSession:
    """What a careful program would open once."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, ttl_dns_cache=300, keepalive_timeout=30),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=TIMEOUT,
    )


async def run(send: Send, targets: Iterator[Json], count: int, in_flight: int) -> Json:
    """`in_flight` workers share `count` sends."""
    left = itertools.repeat(None, count)

    async def worker() -> None:
        for _ in left:
            await send(next(targets))

    started, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(worker() for _ in range(in_flight)))
    return {"count": count, "seconds": time.perf_counter() - started, "cpu": time.process_time() - cpu}


class Loops:
    """One method for each way of sending."""

    def __init__(self, plan: Json) -> None:
        self._plan = plan
        self._targets = plan["targets"]
        self._session = session()
        self._cycle = itertools.cycle(self._targets)

    async def answer(self, question: Json) -> Json:
        """Run the loop that was asked for."""
        name = question["loop"]
        turns = itertools.cycle(self._by_tenant()) if name.startswith("slack") else self._cycle
        send = await getattr(self, name)(**question.get("with", {}))
        return await run(send, turns, question["count"], question["in_flight"])

    def _by_tenant(self) -> list[Json]:
        """Workspaces in turn, so that each has its share of what is in flight."""
        tenants: dict[str, list[Json]] = {}
        for target in self._targets:
            tenants.setdefault(target["tenant"], []).append(target)
        return [target for group in zip(*tenants.values(), strict=False) for target in group]

    # ------------------------------------------------------------------ Teams

    async def _token(self) -> str:
        form = {
            "grant_type": "client_credentials",
            "client_id": self._plan["app_id"],
            "client_secret": self._plan["app_password"],
            "scope": "https://api.botframework.com/.default",
        }
        async with self._session.post(self._plan["login"], data=form) as answer:
            return str((await answer.json())["access_token"])

    async def teams_plain(self) -> Send:
        """A POST of the very same body to the same address, and the id of the answer."""
        header = f"Bearer {await self._token()}"
        headers = {"Authorization": header, "Content-Type": "application/json; charset=utf-8"}
        shared = {"type": "message", "text": self._plan["text"], "from": {"id": f"28:{self._plan['app_id']}"}}

        async def send(target: Json) -> None:
            body = orjson.dumps(shared | {"conversation": {"id": target["conversation"]}})
            url = URL(
                f"{target['service_url']}v3/conversations/{quote(target['conversation'], safe='')}/activities",
                encoded=True,
            )
            async with self._session.post(url, data=body, headers=headers) as answer:
                assert answer.status == 201, await answer.text()
                assert orjson.loads(await answer.read())["id"]

        return send

    async def teams_stock(self, login: bool) -> Send:
        """botbuilder as its documentation shows it: `continue_conversation` with one callback.

        Only the token is patched, because msal cannot be pointed at a simulator: without `login` every turn has a
        token at once; with it every turn fetches one by a blocking POST, as msal does for new credentials.
        """
        ready = await self._token()
        form = {
            "grant_type": "client_credentials",
            "client_id": self._plan["app_id"],
            "client_secret": self._plan["app_password"],
            "scope": "https://api.botframework.com/.default",
        }

        def get_access_token(_self: Any, force_refresh: bool = False) -> str:
            if not login:
                return ready
            return str(requests.post(self._plan["login"], data=form, timeout=30).json()["access_token"])

        MicrosoftAppCredentials.get_access_token = get_access_token
        app_id, password = self._plan["app_id"], self._plan["app_password"]
        configuration = SimpleNamespace(
            APP_ID=app_id,
            APP_PASSWORD=password,
            APP_TYPE="MultiTenant",
            APP_TENANTID="",
        )
        adapter = CloudAdapter(ConfigurationBotFrameworkAuthentication(configuration))
        text = self._plan["text"]

        async def send(target: Json) -> None:
            ids: list[str] = []

            async def say(turn: TurnContext) -> None:
                ids.append((await turn.send_activity(text)).id)

            reference = ConversationReference(
                bot=ChannelAccount(id=f"28:{self._plan['app_id']}"),
                conversation=ConversationAccount(id=target["conversation"]),
                user=ChannelAccount(id=target["user"]),
                channel_id="msteams",
                service_url=target["service_url"],
            )
            await adapter.continue_conversation(reference, say, self._plan["app_id"])
            assert ids[0]

        return send

    # ------------------------------------------------------------------ Slack

    async def slack_shared(self, secure: bool = False) -> Send:
        """slack_sdk with one shared session and one client."""
        client = AsyncWebClient(base_url=self._api(secure), session=self._session, retry_handlers=[])
        return self._post(client)

    async def slack_documented(self, secure: bool = False) -> Send:
        """slack_sdk as documented: a client without a session opens one for each call."""
        return self._post(AsyncWebClient(base_url=self._api(secure)))

    def _api(self, secure: bool) -> str:
        return str(self._plan["slack_secure" if secure else "slack"])

    def _post(self, client: AsyncWebClient) -> Send:
        text = self._plan["text"]

        async def send(target: Json) -> None:
            token = self._plan["tokens"][target["tenant"]]
            answer = await client.chat_postMessage(channel=target["user"], token=token, text=text)
            assert answer["ts"]

        return send

    async def close(self) -> None:
        await self._session.close()


async def _main(plan: Json) -> None:
    loops = Loops(plan)
    print(json.dumps({"ready": True}), flush=True)
    try:
        while line := await asyncio.to_thread(sys.stdin.readline):
            print(json.dumps(await loops.answer(json.loads(line))), flush=True)
    finally:
        await loops.close()


if __name__ == "__main__":
    with open(sys.argv[1], encoding="utf-8") as file:
        asyncio.run(_main(json.load(file)))
