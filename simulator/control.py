"""The control API under `/_sim`: look into the world, add faults, change settings, start anew."""

from collections.abc import Awaitable, Callable
from typing import Any

import orjson
from aiohttp import web

from simulator.control_page import PAGE
from simulator.faults import BadFault, parse_fault
from simulator.mailbox import Message, count_by_person
from simulator.world import BadSetting, World

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def json_answer(data: object, status: int = 200) -> web.Response:
    """A control answer."""
    return web.Response(body=orjson.dumps(data), status=status, content_type="application/json")


def refuse(reason: str, status: int = 400) -> web.Response:
    """A control answer that says what was wrong."""
    return json_answer({"error": reason}, status)


async def json_object(request: web.Request) -> dict[str, Any]:
    """The request's JSON object (an empty body is an empty object); anything else is answered with 400."""
    raw = await request.read()
    try:
        data = orjson.loads(raw) if raw else {}
    except orjson.JSONDecodeError as error:
        raise web.HTTPBadRequest(text=f"not JSON: {error}") from error
    if not isinstance(data, dict):
        raise web.HTTPBadRequest(text="a JSON object is expected")
    return data


def endpoints(base_url: str) -> dict[str, str]:
    """Every address that an app needs to use the simulator instead of the platforms."""
    return {
        "url": base_url,
        "slack_api": f"{base_url}/api/",
        "slack_authorize": f"{base_url}/oauth/v2/authorize",
        "entra_login": base_url,
        "bot_openid": f"{base_url}/v1/.well-known/openidconfiguration",
        "graph": base_url,
        "teams_default_service_url": f"{base_url}/teams/",
        "control": f"{base_url}/_sim",
    }


def control_routes(world: World) -> list[web.RouteDef]:
    """The routes that concern all platforms."""
    control = _Control(world)
    return [
        web.get("/_sim", control.page),
        web.get("/_sim/state", control.state),
        web.get("/_sim/faults", control.list_faults),
        web.post("/_sim/faults", control.add_fault),
        web.delete("/_sim/faults", control.clear_faults),
        web.delete("/_sim/faults/{id}", control.remove_fault),
        web.get("/_sim/mailboxes", control.mailboxes),
        web.get("/_sim/counters", control.counters),
        web.post("/_sim/reset", control.reset),
        web.get("/_sim/settings", control.show_settings),
        web.post("/_sim/settings", control.change_settings),
    ]


class _Control:
    def __init__(self, world: World) -> None:
        self._world = world

    async def page(self, request: web.Request) -> web.Response:
        return web.Response(text=PAGE, content_type="text/html")

    async def state(self, request: web.Request) -> web.Response:
        world = self._world
        return json_answer(
            {
                "endpoints": endpoints(world.base_url or str(request.url.origin())),
                "settings": world.settings.as_json(),
                "people": world.config.people,
                "seed": world.config.seed,
                **{platform.name: platform.state() for platform in world.platforms},
            }
        )

    async def list_faults(self, request: web.Request) -> web.Response:
        return json_answer({"faults": self._world.faults.as_json()})

    async def add_fault(self, request: web.Request) -> web.Response:
        try:
            fault = parse_fault(await json_object(request), self._world.faults.next_id())
        except BadFault as error:
            return refuse(str(error))
        return json_answer(self._world.faults.add(fault).as_json(), 201)

    async def clear_faults(self, request: web.Request) -> web.Response:
        self._world.faults.clear()
        return json_answer({"ok": True})

    async def remove_fault(self, request: web.Request) -> web.Response:
        if self._world.faults.remove(request.match_info["id"]):
            return json_answer({"ok": True})
        return refuse("no such fault", 404)

    async def mailboxes(self, request: web.Request) -> web.Response:
        query = request.query
        found: list[Message] = list(
            self._world.mailboxes.select(
                query.get("platform"),
                query.get("tenant"),
                query.get("user"),
                query.get("email"),
                with_deleted=query.get("deleted") == "1",
            )
        )
        if query.get("count") == "1":
            return json_answer({"total": len(found), **count_by_person(found)})
        limit = int(query["limit"]) if query.get("limit", "").isdecimal() else len(found)
        newest = found[max(0, len(found) - limit) :]
        return json_answer({"total": len(found), "messages": [each.as_json() for each in newest]})

    async def counters(self, request: web.Request) -> web.Response:
        with_arrivals = request.query.get("arrivals") == "1"
        return json_answer({"counters": self._world.counters.as_json(with_arrivals)})

    async def reset(self, request: web.Request) -> web.Response:
        self._world.reset()
        return json_answer({"ok": True})

    async def show_settings(self, request: web.Request) -> web.Response:
        return json_answer(self._world.settings.as_json())

    async def change_settings(self, request: web.Request) -> web.Response:
        try:
            self._world.settings.update(await json_object(request))
        except BadSetting as error:
            return refuse(str(error))
        return json_answer(self._world.settings.as_json())
