"""`GET /openapi.json`: the description, written once when the server starts. It needs no token and names no bot."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from typing import Final

from aiohttp import ETag, hdrs, web

from notify.errors import as_bytes
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
    etag = hashlib.sha256(written).hexdigest()[:16]

    async def show(request: web.Request) -> web.Response:
        known = any(each.value in (etag, "*") for each in request.if_none_match or ())
        answer = web.Response(status=304) if known else web.Response(body=written, content_type="application/json")
        answer.etag = ETag(etag)
        answer.headers[hdrs.CACHE_CONTROL] = "no-cache"  # ask again, and be told that it is the same
        return answer

    return [web.get(PATH, show)]
