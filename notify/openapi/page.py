"""`GET /openapi.json`: the description, written once when the server starts. It needs no token and names no bot."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from aiohttp import hdrs, web

from notify.errors import as_bytes, literal_answer
from notify.openapi.document import Server, document

PATH: Final = "/openapi.json"


def served(router: web.UrlDispatcher) -> Iterator[tuple[str, str]]:
    """Method and path of every route; HEAD goes with its GET."""
    for route in router.routes():
        if route.resource is not None and route.method != hdrs.METH_HEAD:
            yield route.method, route.resource.canonical


def description_routes(server: Server, routes: Iterable[tuple[str, str]]) -> list[web.RouteDef]:
    """The route, for a server with these other routes. Raises Undescribed."""
    written = as_bytes(document(server, [*routes, (hdrs.METH_GET, PATH)]))

    async def show(_request: web.Request) -> web.Response:
        return literal_answer(written)

    return [web.get(PATH, show)]
